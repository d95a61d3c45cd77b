package meshstatus

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/smi-project/smi/internal/rootkeeper"
)

func (f *Facts) judgeWebhook() Check {
	const name = "webhook"
	switch {
	case apierrors.IsNotFound(f.webhook.err):
		return Check{name, Failed, "there is no MutatingWebhookConfiguration " + injectorName + ": pods start without a sidecar", nil, "helm upgrade brings it back"}
	case f.webhook.err != nil:
		return unasked(name, f.webhook.err)
	}
	hooks := f.webhook.got.Webhooks
	for i := range hooks {
		if check, bad := f.judgeHook(&hooks[i]); bad {
			return check
		}
	}
	switch {
	case len(hooks) == 0:
		return Check{name, Failed, injectorName + " has no webhooks: pods start without a sidecar", nil, "helm upgrade brings them back"}
	case f.endpoints.err == nil && f.endpoints.got == 0:
		return Check{name, Failed, fmt.Sprintf("Service %s/%s leads to no ready replica: no pod of a meshed namespace can start", f.namespace, controllerName), nil,
			"bring the controller up, see above"}
	}
	return fine(name, "the API server knows its roots, and %s behind it", plural(f.endpoints.got, "replica stands", "replicas stand"))
}

func (f *Facts) judgeHook(hook *admissionv1.MutatingWebhook) (Check, bool) {
	const name = "webhook"
	held := fingerprints(hook.ClientConfig.CABundle)
	switch {
	case hook.ClientConfig.Service == nil || hook.ClientConfig.Service.Namespace != f.namespace:
		return Check{name, Failed, fmt.Sprintf("%s does not lead to the controller of %s", hook.Name, f.namespace), nil, "helm upgrade puts it right; or name the mesh's namespace with -n"}, true
	case len(held) == 0:
		return Check{name, Failed, hook.Name + " has no roots, so that the API server cannot know the controller: no pod of a meshed namespace can start", nil,
			"the leading controller writes them within a minute; if it does not, its log says why"}, true
	case f.authority.err == nil && !slices.Contains(held, f.authority.got.Roots[0].Fingerprint):
		return Check{name, Failed, hook.Name + " has other roots than the mesh: no pod of a meshed namespace can start", nil,
			"the leading controller writes them within a minute; if it does not, its log says why"}, true
	case hook.FailurePolicy != nil && *hook.FailurePolicy != admissionv1.Fail:
		return Check{name, Warning, hook.Name + " lets pods start without a sidecar where the controller does not answer", nil, "set its failurePolicy to Fail; helm upgrade does"}, true
	}
	return Check{}, false
}

// fingerprints are those of certificates in PEM, as rootkeeper writes them.
func fingerprints(text []byte) []string {
	var all []string
	for block, rest := pem.Decode(bytes.TrimSpace(text)); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(certificate.Raw)
		all = append(all, hex.EncodeToString(sum[:]))
	}
	return all
}

// A root that ends within soon is told, though the mesh renews its own long before.
const soon = 30 * 24 * time.Hour

// stuck is how long a change of roots may take before somebody should look: every pod
// renews its certificate within its life.
const stuck = 48 * time.Hour

func (f *Facts) judgeAuthority() Check {
	const name = "authority"
	if f.authority.err != nil {
		if strings.Contains(f.authority.err.Error(), "does not exist") {
			return Check{name, Failed, f.authority.err.Error(), nil, "bring the controller up, see above"}
		}
		return unasked(name, f.authority.err)
	}
	a := f.authority.got
	if len(a.Roots) == 0 {
		return Check{name, Failed, "the mesh trusts no root", nil, "the leading controller's log says why"}
	}
	root, left := a.Roots[0], a.Roots[0].Expires.Sub(f.now)
	source := "kept by the controller"
	if a.KeptIn != "" && a.KeptIn != rootkeeper.OwnSecret {
		source = "given in Secret " + a.KeptIn
	}
	message := fmt.Sprintf("%s, root ends %s", source, ends(left))
	waiting := details(a.Waiting)
	switch {
	case left <= 0:
		return Check{name, Failed, fmt.Sprintf("root %s has ended %s ago: no certificate is valid", root.Subject, short(-left)), waiting, "give another one, or smi ca rotate"}
	case a.Phase == rootkeeper.Stable && len(a.Waiting) == 0 && left > soon:
		return fine(name, "%s, not being changed", message)
	case a.Phase == rootkeeper.Stable && left <= soon:
		return Check{name, Warning, message, waiting, "give another one, or smi ca rotate"}
	case a.Phase != rootkeeper.Stable && f.now.Sub(a.Since) > stuck:
		return Check{name, Warning, fmt.Sprintf("%s; being changed, in phase %s for %s", message, a.Phase, short(f.now.Sub(a.Since))), waiting,
			"restart the pods that are waited for; smi ca status tells which"}
	case a.Phase != rootkeeper.Stable:
		return Check{name, OK, fmt.Sprintf("%s; being changed, in phase %s for %s", message, a.Phase, short(f.now.Sub(a.Since))), waiting, ""}
	}
	return Check{name, Warning, message, waiting, "smi ca status tells what is waited for"}
}

// judgeRoots sees that namespaces with sidecars are told the roots.
func (f *Facts) judgeRoots() Check {
	const name = "roots"
	switch {
	case f.roots.err != nil:
		return unasked(name, f.roots.err)
	case f.authority.err != nil || f.pods.err != nil || len(f.authority.got.Roots) == 0:
		return Check{name, Warning, "could not be compared, see above", nil, "see above"}
	}
	var wanted, bad []string
	for _, r := range f.authority.got.Roots {
		wanted = append(wanted, r.Fingerprint)
	}
	slices.Sort(wanted)
	told := 0
	for _, namespace := range f.meshedNamespaces() {
		held := fingerprints([]byte(f.roots.got[namespace]))
		slices.Sort(held)
		if told++; !slices.Equal(held, wanted) {
			bad = append(bad, "namespace "+namespace)
		}
	}
	if len(bad) > 0 {
		return Check{name, Failed, plural(len(bad), "namespace has", "namespaces have") + " other roots than the mesh: new sidecars there trust nobody, or not everybody", details(bad),
			"the leading controller writes the ConfigMap smi-root within a minute; if it does not, its log says why"}
	}
	return fine(name, "%s told what the mesh trusts", plural(told, "namespace with sidecars is", "namespaces with sidecars are"))
}

// meshedNamespaces are those with sidecars, sorted.
func (f *Facts) meshedNamespaces() []string {
	var all []string
	for _, p := range f.pods.got {
		if p.meshed && !slices.Contains(all, p.name.Namespace) {
			all = append(all, p.name.Namespace)
		}
	}
	slices.Sort(all)
	return all
}

func ends(left time.Duration) string {
	if left <= 0 {
		return short(-left) + " ago"
	}
	return "in " + short(left)
}

// short is a duration as people say it: its two greatest units at most.
func short(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 2:
		return plural(days, "day", "days")
	case d >= time.Hour && minutes > 0 && d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), minutes)
	case d >= time.Hour:
		return fmt.Sprintf("%dh", 24*days+hours)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}
