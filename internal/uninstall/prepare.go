package uninstall

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/sidecar"
)

// Injector is the MutatingWebhookConfiguration that asks the controller for
// sidecars.
const Injector = "smi-injector"

// Controller is the name of the Deployment and of the label
// app.kubernetes.io/name of its pods.
const Controller = "smi-controller"

// page is how many objects are read at once.
const page = 500

// Remover removes one installation of the mesh.
type Remover struct {
	Client client.Client
	// Namespace is the controller's.
	Namespace string
	// Report is told in one line what was done, and of what to beware. Not nil.
	Report func(line string)
}

// Prepare is to run while the controller still does: it sets the conversion of
// the definitions to None, removes the webhook that would refuse pods without a
// controller, and warns of meshed pods, in the report and by an Event.
func (r Remover) Prepare(ctx context.Context) error {
	if err := crds.ResetConversion(ctx, r.Client, r.Report); err != nil {
		return err
	}
	webhook := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: Injector}}
	if err := r.remove(ctx, webhook); err != nil {
		return err
	}
	meshed, err := r.meshed(ctx)
	if err != nil {
		return err
	}
	if len(meshed) == 0 {
		r.Report("no pod is meshed any more")
		return nil
	}
	return r.warn(ctx, meshed)
}

// meshed returns the running pods that have a sidecar, by namespace.
func (r Remover) meshed(ctx context.Context) (map[string][]string, error) {
	found := map[string][]string{}
	var list corev1.PodList
	for {
		if err := r.Client.List(ctx, &list, client.Limit(page), client.Continue(list.Continue)); err != nil {
			return nil, fmt.Errorf("list pods, to see which are meshed: %w", err)
		}
		for i := range list.Items {
			if pod := &list.Items[i]; isMeshed(pod) {
				found[pod.Namespace] = append(found[pod.Namespace], pod.Name)
			}
		}
		if list.Continue == "" {
			return found, nil
		}
	}
}

func isMeshed(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	return slices.ContainsFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == sidecar.Container })
}

// named is how many pods of a namespace a warning names.
const named = 10

// warn reports each namespace with meshed pods, and leaves an Event.
func (r Remover) warn(ctx context.Context, meshed map[string][]string) error {
	total := 0
	var namespaces []string
	for namespace, pods := range meshed {
		total += len(pods)
		namespaces = append(namespaces, namespace)
	}
	slices.Sort(namespaces)
	headline := fmt.Sprintf("%d pod(s) in %s still have a sidecar. They go on with what they were last told "+
		"until their certificates expire, and then refuse each other. "+
		"Remove the label %s from their namespaces and restart them", total, strings.Join(namespaces, ", "), sidecar.LabelInject)
	r.Report("warning: " + headline)
	for _, namespace := range namespaces {
		pods := meshed[namespace]
		slices.Sort(pods)
		line := strings.Join(pods[:min(named, len(pods))], ", ")
		if more := len(pods) - named; more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
		r.Report("  " + namespace + ": " + line)
	}
	return r.event(ctx, headline)
}

// eventLength is how long the API server lets the message of an Event be.
const eventLength = 1024

// event leaves a warning about the controller's Deployment.
func (r Remover) event(ctx context.Context, message string) error {
	now := metav1.NewTime(time.Now())
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: Controller + ".", Namespace: r.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "apps/v1", Kind: "Deployment", Namespace: r.Namespace, Name: Controller,
		},
		Type: corev1.EventTypeWarning, Reason: "PodsStillMeshed", Message: message[:min(len(message), eventLength)],
		Source:         corev1.EventSource{Component: "smi-uninstall"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if err := r.Client.Create(ctx, event); err != nil {
		return fmt.Errorf("leave an Event in the namespace %s: %w", r.Namespace, err)
	}
	return nil
}
