//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where the mesh is installed, and under which name.
const (
	system  = "smi-system"
	release = "smi"
)

func (c *cluster) refuseInstalled(ctx context.Context) error {
	_, err := c.core.CoreV1().Namespaces().Get(ctx, system, metav1.GetOptions{})
	switch {
	case err == nil:
		return fmt.Errorf("the cluster has a namespace %s already: these tests install and remove the mesh themselves", system)
	case apierrors.IsNotFound(err):
		return nil
	default:
		return fmt.Errorf("the cluster cannot be asked: %w", err)
	}
}

// values are what the tests set of the chart's values.
func (c *cluster) values(more ...string) []string {
	values := []string{"image.registry=" + c.registry, "image.tag=" + c.tag, "image.pullPolicy=IfNotPresent"}
	var args []string
	for _, v := range append(values, more...) {
		args = append(args, "--set", v)
	}
	return args
}

// install installs the chart, or upgrades it with other values, and waits for it.
func (c *cluster) install(ctx context.Context, more ...string) error {
	args := append([]string{"upgrade", "--install", release, c.chart, "--namespace", system, "--create-namespace", "--wait", "--timeout", "3m"}, c.values(more...)...)
	_, err := c.helm(ctx, args...)
	return err
}

func (c *cluster) uninstall(ctx context.Context) error {
	if _, err := c.helm(ctx, "uninstall", release, "--namespace", system, "--wait", "--timeout", "3m"); err != nil {
		return err
	}
	return nil
}

// nothingLeft says what an uninstallation has left behind, the users' own definitions
// and objects aside.
func (c *cluster) nothingLeft(ctx context.Context) error {
	var left []string
	find := func(kind string, names []string, err error) {
		if err != nil {
			left = append(left, fmt.Sprintf("%s: %v", kind, err))
			return
		}
		for _, n := range names {
			left = append(left, kind+" "+n)
		}
	}
	everywhere := metav1.ListOptions{}
	webhooks, err := c.core.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, everywhere)
	find("MutatingWebhookConfiguration", named(webhooks.Items, ours), err)
	validating, err := c.core.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(ctx, everywhere)
	find("ValidatingWebhookConfiguration", named(validating.Items, ours), err)
	roles, err := c.core.RbacV1().ClusterRoles().List(ctx, everywhere)
	find("ClusterRole", named(roles.Items, ours), err)
	bindings, err := c.core.RbacV1().ClusterRoleBindings().List(ctx, everywhere)
	find("ClusterRoleBinding", named(bindings.Items, ours), err)
	roots, err := c.core.CoreV1().ConfigMaps("").List(ctx, everywhere)
	find("ConfigMap", named(roots.Items, func(o metav1.Object) bool { return ours(o) || inSystem(o) }), err)
	secrets, err := c.core.CoreV1().Secrets("").List(ctx, everywhere)
	find("Secret", named(secrets.Items, func(o metav1.Object) bool { return ours(o) || inSystem(o) }), err)
	leases, err := c.core.CoordinationV1().Leases("").List(ctx, everywhere)
	find("Lease", named(leases.Items, func(o metav1.Object) bool { return ours(o) || inSystem(o) }), err)
	pods, err := c.core.CoreV1().Pods(system).List(ctx, everywhere)
	find("Pod", named(pods.Items, func(metav1.Object) bool { return true }), err)
	jobs, err := c.core.BatchV1().Jobs(system).List(ctx, everywhere)
	find("Job", named(jobs.Items, func(metav1.Object) bool { return true }), err)
	accounts, err := c.core.CoreV1().ServiceAccounts(system).List(ctx, everywhere)
	find("ServiceAccount", named(accounts.Items, func(o metav1.Object) bool { return o.GetName() != "default" }), err)
	if len(left) > 0 {
		return errors.New("left behind: " + strings.Join(left, ", "))
	}
	return nil
}

// ours tells names of the mesh from those of others.
func ours(o metav1.Object) bool { return strings.HasPrefix(o.GetName(), "smi-") }

// inSystem tells what the mesh keeps in its own namespace, the cluster's own aside.
func inSystem(o metav1.Object) bool {
	return o.GetNamespace() == system && o.GetName() != "kube-root-ca.crt"
}

// named are the names of what is chosen.
func named[T any, P interface {
	*T
	metav1.Object
}](items []T, chosen func(metav1.Object) bool) []string {
	var names []string
	for i := range items {
		if o := P(&items[i]); chosen(o) {
			names = append(names, strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"))
		}
	}
	return names
}

// explain prints what a person would look at first.
func (c *cluster) explain(ctx context.Context) {
	pods, err := c.core.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		fmt.Printf("pod %s/%s: %s %s\n", p.Namespace, p.Name, p.Status.Phase, notReady(p))
	}
	controllers, err := c.core.CoreV1().Pods(system).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	lines := int64(60)
	for _, p := range controllers.Items {
		text, err := c.core.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: &lines}).DoRaw(ctx)
		fmt.Printf("log of %s (%v):\n%s\n", p.Name, err, text)
	}
}

// notReady says which containers of a pod are not, and why.
func notReady(p *corev1.Pod) string {
	var words []string
	for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		if w := s.State.Waiting; w != nil {
			words = append(words, fmt.Sprintf("%s waits: %s %s", s.Name, w.Reason, w.Message))
		}
		if e := s.State.Terminated; e != nil && e.ExitCode != 0 {
			words = append(words, fmt.Sprintf("%s ended with %d: %s", s.Name, e.ExitCode, e.Message))
		}
	}
	return strings.Join(words, "; ")
}
