package inject

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/smi-project/smi/internal/sidecar"
)

// The annotations by which Prometheus is usually told what to scrape.
const (
	annotationScrape = "prometheus.io/scrape"
	annotationPort   = "prometheus.io/port"
	annotationPath   = "prometheus.io/path"
	annotationScheme = "prometheus.io/scheme"
)

const metricsPath = "/metrics"

// rewriteScraping points Prometheus to the sidecar, which serves its own metrics
// and adds the application's where the pod asks for these to be scraped. A pod
// that does not want to be scraped stays as it is.
func (j *injection) rewriteScraping() {
	annotations := j.pod.Annotations
	switch scrape, set := annotations[annotationScrape]; {
	case !set && (annotations[annotationPort] != "" || annotations[annotationPath] != ""):
		return
	case set && scrape != "true":
		return
	case set:
		j.settings.ApplicationMetrics = j.applicationMetrics()
	}
	j.annotate(annotationScrape, "true")
	j.annotate(annotationPort, strconv.Itoa(sidecar.PortMetrics))
	j.annotate(annotationPath, metricsPath)
	delete(j.pod.Annotations, annotationScheme)
}

// applicationMetrics reads where the application serves its metrics.
func (j *injection) applicationMetrics() *corev1.HTTPGetAction {
	annotations := j.pod.Annotations
	get := &corev1.HTTPGetAction{Path: metricsPath, Port: intstr.FromInt32(j.metricsPort()), Scheme: corev1.URISchemeHTTP}
	if path := annotations[annotationPath]; path != "" {
		if _, err := url.ParseRequestURI(path); err != nil || !strings.HasPrefix(path, "/") {
			j.found.add(InvalidAnnotation, annotationField(annotationPath), fmt.Sprintf("%q is no path such as /metrics", path))
		}
		get.Path = path
	}
	switch scheme := annotations[annotationScheme]; scheme {
	case "", "http":
	case "https":
		get.Scheme = corev1.URISchemeHTTPS
	default:
		j.found.add(InvalidAnnotation, annotationField(annotationScheme), fmt.Sprintf("%q is neither http nor https", scheme))
	}
	return get
}

// metricsPort is the port that is annotated, or else the only one of the pod.
func (j *injection) metricsPort() int32 {
	field := annotationField(annotationPort)
	if text, set := j.pod.Annotations[annotationPort]; set {
		port, number := portNumber(text)
		if !number {
			j.found.add(InvalidAnnotation, field, fmt.Sprintf("%q is no port number", text))
			return 0
		}
		if isReserved(port) {
			j.found.add(SidecarPort, field, text)
		}
		return port
	}
	ports := map[int32]bool{}
	for c := range j.containers() {
		for _, port := range c.Ports {
			if port.Protocol == corev1.ProtocolTCP || port.Protocol == "" {
				ports[port.ContainerPort] = true
			}
		}
	}
	if len(ports) != 1 {
		j.found.add(InvalidAnnotation, field, fmt.Sprintf("is absent while %s is \"true\", and the pod has %d ports", annotationScrape, len(ports)))
		return 0
	}
	for port := range ports {
		return port
	}
	return 0
}
