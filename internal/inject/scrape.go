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
// and, where the pod says so in as many words, the application's: without that
// these need a TrafficTarget (AC-14). A pod that does not want to be scraped stays
// as it is.
func (j *injection) rewriteScraping() {
	annotations, merge := j.pod.Annotations, j.mergesMetrics()
	switch scrape, set := annotations[annotationScrape]; {
	case merge && scrape != "true":
		j.found.add(InvalidAnnotation, annotationField(sidecar.AnnotationMergeMetrics), fmt.Sprintf("needs %s to be \"true\", by which a pod says where its metrics are", annotationScrape))
	case !set && (annotations[annotationPort] != "" || annotations[annotationPath] != ""):
		return
	case set && scrape != "true":
		return
	case merge:
		j.settings.ApplicationMetrics = j.applicationMetrics()
	}
	j.annotate(annotationScrape, "true")
	j.annotate(annotationPort, strconv.Itoa(sidecar.PortMetrics))
	j.annotate(annotationPath, metricsPath)
	delete(j.pod.Annotations, annotationScheme)
}

// mergesMetrics tells whether the application's metrics are to be the sidecar's too.
func (j *injection) mergesMetrics() bool {
	switch text := j.pod.Annotations[sidecar.AnnotationMergeMetrics]; text {
	case "true":
		return true
	case "", "false":
	default:
		j.found.add(InvalidAnnotation, annotationField(sidecar.AnnotationMergeMetrics), fmt.Sprintf("%q is neither true nor false", text))
	}
	return false
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
