package meshstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/rootkeeper"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
)

// Names that the chart gives.
const (
	controllerName = "smi-controller"
	injectorName   = "smi-injector"
	nameLabel      = "app.kubernetes.io/name"
)

// Options say what is asked.
type Options struct {
	Cluster *kube.Cluster
	// Namespace is the controller's.
	Namespace string
	// Version is that of this program.
	Version string
}

// Collect asks a cluster. What may not be read, or is not there, is a fact too; an
// error means that the cluster does not answer, or lets nothing be read.
func Collect(ctx context.Context, o Options) (*Facts, error) {
	client, err := o.Cluster.Clientset()
	if err != nil {
		return nil, err
	}
	if _, err := client.Discovery().ServerVersion(); err != nil {
		return nil, fmt.Errorf("context %s does not answer: %w", o.Cluster.Name(), err)
	}
	f := &Facts{now: time.Now(), context: o.Cluster.Name(), namespace: o.Namespace, version: o.Version}
	f.definitions.got, f.definitions.err = readDefinitions(ctx, o.Cluster)
	f.collectController(ctx, client)
	f.webhook.got, f.webhook.err = client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, injectorName, metav1.GetOptions{})
	f.config.got, f.config.err = ReadConfig(ctx, client, o.Namespace)
	f.authority.got, f.authority.err = (&rootkeeper.Remote{Client: client, Namespace: o.Namespace}).Status(ctx)
	f.summaries.got, f.summaries.err = readSummaries(ctx, client, o.Namespace)
	f.namespaces.got, f.namespaces.err = readNamespaces(ctx, client)
	f.pods.got, f.pods.err = readPods(ctx, client)
	f.blocked.got, f.blocked.err = readBlocked(ctx, client)
	f.roots.got, f.roots.err = readRoots(ctx, client)
	f.certificates.got, f.certificates.err = readCertificates(ctx, client, f.pods.got)
	if apierrors.IsForbidden(f.deployment.err) && apierrors.IsForbidden(f.pods.err) && apierrors.IsForbidden(f.namespaces.err) {
		return nil, fmt.Errorf("context %s: you may read nothing that says how the mesh is: %w\nAsk for the permissions of docs/cli.md", o.Cluster.Name(), f.deployment.err)
	}
	return f, nil
}

func readDefinitions(ctx context.Context, cluster *kube.Cluster) ([]crds.State, error) {
	client, err := cluster.Client()
	if err != nil {
		return nil, err
	}
	return crds.States(ctx, client)
}

func (f *Facts) collectController(ctx context.Context, client kubernetes.Interface) {
	f.deployment.got, f.deployment.err = client.AppsV1().Deployments(f.namespace).Get(ctx, controllerName, metav1.GetOptions{})
	f.lease.got, f.lease.err = client.CoordinationV1().Leases(f.namespace).Get(ctx, controllerName, metav1.GetOptions{})
	pods, err := client.CoreV1().Pods(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + controllerName})
	if f.controllers.err = err; err == nil {
		f.controllers.got = pods.Items
	}
	service := controllerName
	slices, err := client.DiscoveryV1().EndpointSlices(f.namespace).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if f.endpoints.err = err; err == nil {
		f.endpoints.got = readyEndpoints(slices.Items)
	}
}

// readyEndpoints counts replicas once, however many addresses they have.
func readyEndpoints(slices []discoveryv1.EndpointSlice) int {
	ready := map[string]bool{}
	for i := range slices {
		for _, e := range slices[i].Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				name := strings.Join(e.Addresses, ",")
				if e.TargetRef != nil {
					name = e.TargetRef.Name
				}
				ready[name] = true
			}
		}
	}
	return len(ready)
}

func readSummaries(ctx context.Context, client kubernetes.Interface, namespace string) ([]status.Summary, error) {
	list, err := client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{LabelSelector: status.PartLabel + "=" + status.SummaryPart})
	if err != nil {
		return nil, err
	}
	all := []status.Summary{}
	for i := range list.Items {
		var s status.Summary
		if err := json.Unmarshal([]byte(list.Items[i].Data[status.SummaryKey]), &s); err != nil {
			continue // of another release
		}
		s.Replica = strings.TrimPrefix(list.Items[i].Name, status.SummaryPrefix)
		all = append(all, s)
	}
	return all, nil
}

// pageSize is how many objects one answer may hold.
const pageSize = 500

func readNamespaces(ctx context.Context, client kubernetes.Interface) (map[string]*corev1.Namespace, error) {
	found := map[string]*corev1.Namespace{}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		list, err := client.CoreV1().Namespaces().List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			found[list.Items[i].Name] = &list.Items[i]
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

func readPods(ctx context.Context, client kubernetes.Interface) ([]pod, error) {
	found := []pod{}
	options := metav1.ListOptions{Limit: pageSize, FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"}
	for {
		list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			found = append(found, podOf(&list.Items[i]))
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// readBlocked looks for Deployments whose pods the API server refuses.
func readBlocked(ctx context.Context, client kubernetes.Interface) (map[string][]string, error) {
	found := map[string][]string{}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		list, err := client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			d := &list.Items[i]
			for _, c := range d.Status.Conditions {
				if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
					found[d.Namespace] = append(found[d.Namespace], "Deployment "+d.Namespace+"/"+d.Name+": "+c.Message)
				}
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

func readRoots(ctx context.Context, client kubernetes.Interface) (map[string]string, error) {
	found := map[string]string{}
	options := metav1.ListOptions{Limit: pageSize, FieldSelector: "metadata.name=" + sidecar.RootsConfigMap}
	for {
		list, err := client.CoreV1().ConfigMaps(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			found[list.Items[i].Namespace] = list.Items[i].Data[sidecar.RootsKey]
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// lacking says why a thing could not be asked.
func lacking(err error) (message, remedy string) {
	if apierrors.IsForbidden(err) {
		return "not known: you lack the permission to " + permission(err), "ask for it; docs/cli.md lists all that help"
	}
	return "could not be asked: " + err.Error(), "see whether the cluster is well"
}

// refusal is how the API server says what somebody may not.
var refusal = regexp.MustCompile(`cannot (\S+) resource "([^"]+)" in API group "([^"]*)"(.*)$`)

// permission is what a Forbidden error says is missing, such as "list pods at the
// cluster scope"; all of its text where it says it otherwise.
func permission(err error) string {
	parts := refusal.FindStringSubmatch(err.Error())
	if parts == nil {
		return err.Error()
	}
	resource := parts[2]
	if parts[3] != "" {
		resource += "." + parts[3]
	}
	return parts[1] + " " + resource + parts[4]
}

// orDefault is the configuration, as far as it is known.
func (f *Facts) orDefault() *config.Controller {
	if f.config.err != nil || f.config.got == nil {
		return config.Default()
	}
	return f.config.got
}
