package meshstatus

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/smi-project/smi/internal/status"
	"github.com/smi-project/smi/mesh"
)

// judgeProxies says how sidecars are.
func (f *Facts) judgeProxies() []Check {
	if f.pods.err != nil {
		return []Check{unasked("proxies", f.pods.err)}
	}
	return []Check{f.judgeSidecars(), f.judgeSync(), f.judgeCertificates(), f.judgeImages()}
}

// judgeSidecars sees that they are ready.
func (f *Facts) judgeSidecars() Check {
	const name = "proxies"
	meshed, ready := 0, 0
	var bad []string
	var first mesh.Name
	for _, p := range f.pods.got {
		if !p.meshed || p.deleting {
			continue
		}
		if meshed++; p.ready {
			ready++
			continue
		}
		if bad = append(bad, fmt.Sprintf("pod %s: %s", p.name, p.waiting)); len(bad) == 1 {
			first = p.name
		}
	}
	if len(bad) > 0 {
		return Check{name, Failed, fmt.Sprintf("%d of %s not ready: these pods neither call nor answer", len(bad), plural(meshed, "sidecar is", "sidecars are")), details(bad),
			fmt.Sprintf("kubectl -n %s describe pod %s tells more, and so does smi proxy logs %s -n %s", first.Namespace, first.Name, first.Name, first.Namespace)}
	}
	if meshed == 0 {
		return fine(name, "no pod is meshed yet")
	}
	return fine(name, "%s ready", plural(meshed, "sidecar is", "sidecars are"))
}

// judgeSync sees that proxies have what they should, by what replicas say of them.
func (f *Facts) judgeSync() Check {
	const name = "configuration sync"
	if f.summaries.err != nil {
		return unasked(name, f.summaries.err)
	}
	connected, synced, pending, refusing, omitted := 0, 0, 0, 0, 0
	var why []string
	for _, s := range f.alive() {
		connected += s.Connected
		synced += s.InSync
		omitted += s.Omitted
		for _, a := range s.Behind {
			pending += a.Pending
			refusing += a.Rejecting
			if a.Rejecting > 0 {
				why = append(why, fmt.Sprintf("account %s, %s: %s", a.Name, plural(a.Rejecting, "proxy", "proxies"), a.Error))
			}
		}
	}
	ready := 0
	for _, p := range f.pods.got {
		if p.meshed && p.ready && !p.deleting {
			ready++
		}
	}
	message := fmt.Sprintf("%s connected, %d in sync", plural(connected, "proxy is", "proxies are"), synced)
	switch {
	case refusing > 0:
		return Check{name, Failed, fmt.Sprintf("%s; %s a part of what they are told and keep the last that was good", message, plural(refusing, "refuses", "refuse")), details(why),
			"smi check -A may name the object to blame; smi proxy config POD shows what a proxy has. If it is none of yours, report it: the mesh should never send what Envoy refuses"}
	case ready > connected:
		return Check{name, Warning, fmt.Sprintf("%s; %s not connected, with what was told last", message, plural(ready-connected, "ready sidecar is", "ready sidecars are")), nil,
			"they connect anew by themselves; if not, see that a NetworkPolicy lets them reach port 15012 of the controller, and smi proxy logs POD"}
	case pending+omitted > 0:
		return Check{name, Warning, fmt.Sprintf("%s, %d about to be", message, connected-synced), nil, "ask again in a moment"}
	}
	return fine(name, "%s", message)
}

// alive are the summaries of the replicas that have a pod; of all, where that is not
// known.
func (f *Facts) alive() []status.Summary {
	if f.controllers.err != nil {
		return f.summaries.got
	}
	var all []status.Summary
	for _, s := range f.summaries.got {
		for i := range f.controllers.got {
			if f.controllers.got[i].Name == s.Replica {
				all = append(all, s)
			}
		}
	}
	return all
}

// A certificate is renewed when a third of its life is left. One with less than a
// quarter is late.
const latePart = 4

func (f *Facts) judgeCertificates() Check {
	const name = "certificates"
	if apierrors.IsForbidden(f.certificates.err) {
		// A sidecar without a valid certificate is not ready, which is known.
		return fine(name, "not asked, as that takes the permission to %s; smi proxy config POD shows one", permission(f.certificates.err))
	}
	if f.certificates.err != nil {
		return unasked(name, f.certificates.err)
	}
	life := f.orDefault().CertificateTTL.Duration
	var late, ended []string
	var next time.Time
	for _, pod := range sorted(f.certificates.got) {
		end := f.certificates.got[pod]
		left := end.Sub(f.now)
		line := fmt.Sprintf("pod %s: ends %s", pod, ends(left))
		switch {
		case left <= 0:
			ended = append(ended, line)
		case left < life/latePart:
			late = append(late, line)
		}
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	const remedy = "smi proxy logs POD says why no other could be had; a sidecar asks port 15012 of the controller"
	switch asked := len(f.certificates.got); {
	case len(ended) > 0:
		return Check{name, Failed, plural(len(ended), "proxy's certificate has", "proxies' certificates have") + " ended", details(append(ended, late...)), remedy}
	case len(late) > 0:
		return Check{name, Warning, plural(len(late), "proxy has", "proxies have") + " not renewed a certificate in time", details(late), remedy}
	case asked == 0:
		return fine(name, "no proxy was asked")
	default:
		return fine(name, "of %s asked, the first ends %s; each is renewed when a third of %s is left", plural(asked, "proxy", "proxies"), ends(next.Sub(f.now)), short(life))
	}
}

func sorted[V any](m map[mesh.Name]V) []mesh.Name {
	var all []mesh.Name
	for name := range m {
		all = append(all, name)
	}
	slices.SortFunc(all, mesh.Name.Compare)
	return all
}

// sidecarImage is the image that new pods get.
func (f *Facts) sidecarImage() string {
	if f.config.err != nil {
		return ""
	}
	i := f.config.got.Image
	tag := i.Tag
	if tag == "" {
		tag = tagOf(f.controllerImage())
	}
	if tag == "" {
		return ""
	}
	if i.Registry != "" {
		return strings.TrimSuffix(i.Registry, "/") + "/" + i.Name + ":" + tag
	}
	return i.Name + ":" + tag
}

func (f *Facts) judgeImages() Check {
	const name = "sidecar images"
	current := f.sidecarImage()
	if current == "" {
		return Check{name, Warning, "which one is current is not known, see above", nil, "see above"}
	}
	var old []string
	for _, p := range f.pods.got {
		if p.meshed && !p.deleting && p.image != current {
			old = append(old, fmt.Sprintf("pod %s: %s", p.name, p.image))
		}
	}
	if len(old) > 0 {
		return Check{name, Warning, fmt.Sprintf("%s another image than the controller gives now, %s", plural(len(old), "sidecar has", "sidecars have"), current), details(old),
			"kubectl -n NAMESPACE rollout restart deployment gives pods the current one"}
	}
	return fine(name, "all are %s", current)
}
