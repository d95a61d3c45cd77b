package cli

import (
	"slices"

	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/mesh"
)

// relevant returns the findings that may matter for an answer: those about the
// objects that took part in it, and where something is denied also those about
// the SMI resources beside them, one of which may have been meant to allow it.
func relevant(q explain.Question, a *explain.Answer) []mesh.Finding {
	involved := map[mesh.ObjectRef]bool{service(q.To.Namespace, q.To.Name): true}
	if split, ok := parseName(a.AppliedSplit); ok {
		involved[object("TrafficSplit", split)] = true
	}
	for _, s := range a.Split {
		involved[service(q.To.Namespace, s.Service)] = true
	}
	for _, d := range a.Destinations {
		involved[mesh.ObjectRef{Kind: "Namespace", Name: d.Namespace}] = true
		for _, p := range d.Pods {
			if pod, ok := parseName(p); ok {
				involved[object("Pod", pod)] = true
			}
		}
		for _, g := range d.Grants {
			if target, ok := parseName(g.TrafficTarget); ok {
				involved[object("TrafficTarget", target)] = true
			}
		}
	}
	asked := []string{"TrafficTarget", "HTTPRouteGroup", "TCPRoute", "UDPRoute", "IdentityBinding", "TrafficSplit"}
	kept := []mesh.Finding{}
	for _, f := range a.Findings {
		if involved[f.Object] || !a.Allowed && slices.Contains(asked, f.Object.Kind) {
			kept = append(kept, f)
		}
	}
	return kept
}

func service(namespace, name string) mesh.ObjectRef {
	return mesh.ObjectRef{Kind: "Service", Namespace: namespace, Name: name}
}

func object(kind string, name mesh.Name) mesh.ObjectRef {
	return mesh.ObjectRef{Kind: kind, Namespace: name.Namespace, Name: name.Name}
}
