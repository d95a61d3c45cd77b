package meshstatus

import (
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/smi-project/smi/internal/config"
	"github.com/smi-project/smi/internal/crds"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/rootkeeper"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/internal/status"
	"github.com/smi-project/smi/mesh"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// well are the facts of a mesh that is well: two replicas, a namespace, two pods.
func well(t *testing.T) *Facts {
	t.Helper()
	ca, err := identity.NewCA(identity.Config{TrustDomain: "cluster.local"})
	if err != nil {
		t.Fatal(err)
	}
	roots := ca.Bundle().PEM()
	two := int32(2)
	f := &Facts{now: now, context: "test", namespace: "smi-system", version: "v0.3.0"}
	f.definitions.got = []crds.State{{Name: "traffictargets", Installed: true, Served: true, Same: true}}
	f.deployment.got = &appsv1.Deployment{
		Spec:   appsv1.DeploymentSpec{Replicas: &two, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Image: "example/smi:v0.3.0"}}}}},
		Status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2},
	}
	f.controllers.got = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, {ObjectMeta: metav1.ObjectMeta{Name: "two"}}}
	holder, seconds, renewed := "one", int32(15), metav1.NewMicroTime(now.Add(-5*time.Second))
	f.lease.got = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &renewed}}
	fail := admissionv1.Fail
	f.webhook.got = &admissionv1.MutatingWebhookConfiguration{Webhooks: []admissionv1.MutatingWebhook{{
		Name: "namespace.inject.smi-spec.io", FailurePolicy: &fail,
		ClientConfig: admissionv1.WebhookClientConfig{CABundle: roots, Service: &admissionv1.ServiceReference{Namespace: "smi-system", Name: "smi-controller"}},
	}}}
	f.endpoints.got = 2
	f.config.got = config.Default()
	f.config.got.Image = config.Image{Registry: "example", Name: "smi-proxy", Tag: "v0.3.0"}
	f.authority.got = &rootkeeper.Status{Phase: rootkeeper.Stable, KeptIn: rootkeeper.OwnSecret, Roots: []rootkeeper.RootStatus{{
		Subject: "root", Fingerprint: fingerprints(roots)[0], Expires: now.Add(3650 * 24 * time.Hour),
	}}}
	f.roots.got = map[string]string{"shop": string(roots)}
	f.summaries.got = []status.Summary{{Replica: "one", Connected: 1, InSync: 1}, {Replica: "two", Connected: 1, InSync: 1}, {Replica: "gone", Connected: 9}}
	f.namespaces.got = map[string]*corev1.Namespace{"shop": {ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"smi-spec.io/inject": "enabled"}}}}
	for _, name := range []string{"web", "cart"} {
		f.pods.got = append(f.pods.got, pod{name: mesh.Name{Namespace: "shop", Name: name}, meshed: true, ready: true, image: "example/smi-proxy:v0.3.0"})
	}
	f.certificates.got = map[mesh.Name]time.Time{{Namespace: "shop", Name: "web"}: now.Add(20 * time.Hour)}
	return f
}

func TestAWellMesh(t *testing.T) {
	r := well(t).Judge()
	for _, c := range r.Checks {
		if c.State != OK || c.Remedy != "" || c.Message == "" {
			t.Errorf("%s is %s: %s; %s", c.Name, c.State, c.Message, c.Remedy)
		}
	}
	if r.State != OK || len(r.Namespaces) != 1 || r.Namespaces[0] != (Namespace{"shop", true, "strict", 2, 2, 2}) {
		t.Errorf("the report is %s with namespaces %+v", r.State, r.Namespaces)
	}
}

var (
	notFound  = apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "thing")
	forbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "thing",
		errors.New(`User "u" cannot list resource "things" in API group "example.org" at the cluster scope`))
)

// Every fault turns one check, and says what was found and what to do.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		spoil   func(*Facts)
		check   string
		state   State
		message string
	}{
		"definition missing":       {func(f *Facts) { f.definitions.got[0].Installed = false }, "definitions", Failed, "1 SMI definition is not installed"},
		"definition not served":    {func(f *Facts) { f.definitions.got[0].Served = false }, "definitions", Failed, "does not serve"},
		"definition of another":    {func(f *Facts) { f.definitions.got[0].Same = false }, "definitions", Warning, "another release"},
		"definitions forbidden":    {func(f *Facts) { f.definitions.err = forbidden }, "definitions", Warning, "permission to list things.example.org at the cluster scope"},
		"no controller":            {func(f *Facts) { f.deployment.err = notFound }, "controller", Failed, "no Deployment smi-system/smi-controller"},
		"controller at 0":          {func(f *Facts) { *f.deployment.got.Spec.Replicas = 0 }, "controller", Failed, "scaled to 0"},
		"no replica ready":         {func(f *Facts) { f.deployment.got.Status.ReadyReplicas = 0 }, "controller", Failed, "0 of 2 replicas are ready"},
		"one replica ready":        {func(f *Facts) { f.deployment.got.Status.ReadyReplicas = 1 }, "controller", Warning, "1 of 2 replicas are ready"},
		"rolling out":              {func(f *Facts) { f.deployment.got.Status.UpdatedReplicas = 1 }, "controller", Warning, "2 of 2"},
		"nobody leads":             {func(f *Facts) { f.lease.got.Spec.RenewTime.Time = now.Add(-time.Hour) }, "controller", Failed, "none of them leads"},
		"far releases":             {func(f *Facts) { f.version = "v0.1.0" }, "versions", Warning, "more than one release apart"},
		"no configuration":         {func(f *Facts) { f.config.err = notFound }, "configuration", Warning, "no ConfigMap"},
		"strange configuration":    {func(f *Facts) { f.config.err = errors.New("line 3: there is no field mod") }, "configuration", Warning, "line 3"},
		"no webhook":               {func(f *Facts) { f.webhook.err = notFound }, "webhook", Failed, "pods start without a sidecar"},
		"webhook without roots":    {func(f *Facts) { f.webhook.got.Webhooks[0].ClientConfig.CABundle = nil }, "webhook", Failed, "has no roots"},
		"webhook with other roots": {func(f *Facts) { f.authority.got.Roots[0].Fingerprint = "00" }, "webhook", Failed, "other roots than the mesh"},
		"webhook of another mesh":  {func(f *Facts) { f.webhook.got.Webhooks[0].ClientConfig.Service.Namespace = "other" }, "webhook", Failed, "does not lead to"},
		"webhook that lets pass": {func(f *Facts) {
			ignore := admissionv1.Ignore
			f.webhook.got.Webhooks[0].FailurePolicy = &ignore
		}, "webhook", Warning, "without a sidecar"},
		"nobody behind the webhook": {func(f *Facts) { f.endpoints.got = 0 }, "webhook", Failed, "no ready replica"},
		"root ends soon":            {func(f *Facts) { f.authority.got.Roots[0].Expires = now.Add(48 * time.Hour) }, "authority", Warning, "root ends in 48h"},
		"root has ended":            {func(f *Facts) { f.authority.got.Roots[0].Expires = now.Add(-time.Hour) }, "authority", Failed, "has ended 1h ago"},
		"rotation": {func(f *Facts) {
			f.authority.got.Phase, f.authority.got.Since = rootkeeper.Trusting, now.Add(-time.Hour)
		}, "authority", OK, "in phase trusting for 1h"},
		"rotation that hangs": {func(f *Facts) {
			f.authority.got.Phase, f.authority.got.Since = rootkeeper.Signing, now.Add(-72*time.Hour)
		}, "authority", Warning, "in phase signing for 3 days"},
		"namespace without roots": {func(f *Facts) { f.roots.got = nil }, "roots", Failed, "1 namespace has other roots"},
		"sidecar not ready":       {func(f *Facts) { f.pods.got[0].ready, f.pods.got[0].waiting = false, "its sidecar waits: ErrImagePull" }, "proxies", Failed, "1 of 2 sidecars are not ready"},
		"proxy refuses": {func(f *Facts) {
			f.summaries.got[0].Behind = []status.Account{{Name: "shop/web", Rejecting: 1, Error: "no such filter"}}
		}, "configuration sync", Failed, "1 refuses a part"},
		"proxy behind":             {func(f *Facts) { f.summaries.got[0].Behind = []status.Account{{Name: "shop/web", Pending: 1}} }, "configuration sync", Warning, "about to be"},
		"proxy not connected":      {func(f *Facts) { f.summaries.got[0].Connected = 0 }, "configuration sync", Warning, "1 ready sidecar is not connected"},
		"certificate late":         {func(f *Facts) { f.certificates.got[mesh.Name{Namespace: "shop", Name: "web"}] = now.Add(time.Hour) }, "certificates", Warning, "not renewed"},
		"certificate ended":        {func(f *Facts) { f.certificates.got[mesh.Name{Namespace: "shop", Name: "web"}] = now.Add(-time.Hour) }, "certificates", Failed, "has ended"},
		"certificates not allowed": {func(f *Facts) { f.certificates.err = forbidden }, "certificates", OK, "takes the permission to list things"},
		"old sidecar":              {func(f *Facts) { f.pods.got[1].image = "example/smi-proxy:v0.2.0" }, "sidecar images", Warning, "1 sidecar has another image"},
		"refused pods":             {func(f *Facts) { f.blocked.got = map[string][]string{"shop": {"Deployment shop/db: hostNetwork"}} }, "refused pods", Failed, "1 Deployment is refused pods"},
		"pod without sidecar":      {func(f *Facts) { f.pods.got[0].meshed = false }, "pods without sidecar", Warning, "1 pod of meshed namespaces is not"},
		"label taken off":          {func(f *Facts) { f.namespaces.got["shop"].Labels = nil }, "sidecars without label", Warning, "1 namespace has sidecars"},
		"excluded port": {func(f *Facts) {
			f.pods.got[0].redirection = sidecar.Redirection{ExcludeInbound: []uint16{22, 9443}}
		}, "exclusions", Warning, "1 pod has connections"},
		"excluded everywhere": {func(f *Facts) {
			f.config.got.Exclude.InboundPorts = []uint16{22}
			f.pods.got[0].redirection = sidecar.Redirection{ExcludeInbound: []uint16{22}}
		}, "exclusions", Warning, "in every pod, and otherwise in 0 pods"},
		"plaintext port":     {func(f *Facts) { f.pods.got[0].plaintext = "8080" }, "plaintext ports", Warning, "1 pod opens ports"},
		"namespace in audit": {func(f *Facts) { f.namespaces.got["shop"].Labels["smi-spec.io/access"] = "audit" }, "modes", Warning, "1 meshed namespace does not enforce"},
	} {
		t.Run(name, func(t *testing.T) {
			f := well(t)
			c.spoil(f)
			for _, got := range f.Judge().Checks {
				if got.Name != c.check {
					continue
				}
				if got.State != c.state || !strings.Contains(got.Message, c.message) || (got.State == OK) != (got.Remedy == "") {
					t.Errorf("got %s: %q (%s), want %s: %q", got.State, got.Message, got.Remedy, c.state, c.message)
				}
				return
			}
			t.Errorf("there is no check %s", c.check)
		})
	}
}

// What somebody opted out of is no fault.
func TestNoFault(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"pod that opted out":       func(f *Facts) { f.pods.got[0].meshed, f.pods.got[0].inject = false, "disabled" },
		"pod that ends":            func(f *Facts) { f.pods.got[0].ready, f.pods.got[0].deleting = false, true },
		"pod of another namespace": func(f *Facts) { f.pods.got = append(f.pods.got, pod{name: mesh.Name{Namespace: "bank", Name: "x"}}) },
		"refused elsewhere":        func(f *Facts) { f.blocked.got = map[string][]string{"bank": {"Deployment bank/x: quota"}} },
		"build of no release":      func(f *Facts) { f.version = "(devel)" },
	} {
		f := well(t)
		change(f)
		if r := f.Judge(); r.State != OK {
			t.Errorf("%s: %+v", name, r.Checks)
		}
	}
}

func TestExpiryIn(t *testing.T) {
	got, err := expiryIn(strings.NewReader("# TYPE smi_certificate_expiry_timestamp_seconds gauge\nsmi_certificate_expiry_timestamp_seconds 1.7e+09\nother 1\n"))
	if err != nil || got.Unix() != 1_700_000_000 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, series := range []string{"", "smi_certificate_expiry_timestamp_seconds 0\n", "smi_certificate_expiry_timestamp_seconds soon\n"} {
		if _, err := expiryIn(strings.NewReader(series)); err == nil {
			t.Errorf("%q names no end", series)
		}
	}
}
