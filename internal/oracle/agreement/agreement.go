// Package agreement compares what the product makes of a world with what the
// oracle makes of it: it runs the world through the store and the compiler, and
// asks explain the oracle's question. Only tests use it.
package agreement

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/explain"
	"github.com/smi-project/smi/internal/oracle"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Compile runs a world through the store and the compiler.
func Compile(w *oracle.World) *mesh.Mesh {
	s := store.New()
	s.Put(Objects(w)...)
	return compile.New(Config(w)).Compile(s.Snapshot())
}

// Config is the mesh's configuration in the world.
func Config(w *oracle.World) compile.Config {
	return compile.Config{
		TrustDomain: w.Config.TrustDomain, ClusterDomain: w.Config.ClusterDomain,
		Mode: mesh.Mode(w.Config.Mode), Floor: mesh.Mode(w.Config.Floor),
	}
}

// Objects are all objects of the world.
func Objects(w *oracle.World) []store.Object {
	return slices.Concat(
		asObjects(w.Namespaces), asObjects(w.ServiceAccounts), asObjects(w.Pods), asObjects(w.Services),
		asObjects(w.TrafficTargets), asObjects(w.IdentityBindings), asObjects(w.HTTPRouteGroups),
		asObjects(w.TCPRoutes), asObjects(w.UDPRoutes), asObjects(w.TrafficSplits),
	)
}

func asObjects[T store.Object](list []T) []store.Object {
	all := make([]store.Object, len(list))
	for i, o := range list {
		all[i] = o
	}
	return all
}

// Disagreement says in what explain's answer and the oracle's verdict differ,
// "" if in nothing.
func Disagreement(e *explain.Evaluator, w *oracle.World, r oracle.Request) string {
	verdict := oracle.Judge(w, r)
	if verdict.NoSuchClient {
		return ""
	}
	answer, err := e.Ask(Question(w, r))
	if verdict.NoSuchService || verdict.NoSuchPort {
		if err == nil {
			return "explain knows a Service port that the oracle does not"
		}
		return ""
	}
	if err != nil {
		return "explain: " + err.Error()
	}
	bad, _ := verdict.BadRequest.Float64()
	denied, _ := verdict.Denied.Float64()
	unavailable, _ := verdict.Unavailable.Float64()
	allowed, _ := verdict.AllowedShare().Float64()
	var explainedAllowed, explainedDenied float64
	for _, d := range answer.Destinations {
		if d.Allowed {
			explainedAllowed += d.Share
		} else {
			explainedDenied += d.Share
		}
	}
	switch {
	case bad == 1 && !answer.Allowed && len(answer.Destinations) == 0:
		return ""
	case !near(explainedAllowed, allowed) || !near(explainedDenied, denied+bad) || !near(answer.Unavailable, unavailable):
		return format(answer, verdict)
	case !samePods(answer, verdict):
		return "other pods: " + format(answer, verdict)
	case answer.AppliedSplit != verdict.Split:
		return "other split: " + format(answer, verdict)
	default:
		return ""
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// samePods compares where the request may arrive and what each place says.
func samePods(a *explain.Answer, v oracle.Verdict) bool {
	type place struct {
		pod  string
		port uint16
	}
	explained, judged := map[place]bool{}, map[place]bool{}
	for _, d := range a.Destinations {
		for _, p := range d.Pods {
			if d.Share > 0 {
				explained[place{p, d.Port}] = d.Allowed
			}
		}
	}
	for _, o := range v.Outcomes {
		judged[place{o.Pod, uint16(o.Port)}] = o.Allowed
	}
	if len(explained) != len(judged) {
		return false
	}
	for p, allowed := range explained {
		if was, ok := judged[p]; !ok || was != allowed {
			return false
		}
	}
	return true
}

// Question asks explain what a request asks the oracle.
func Question(w *oracle.World, r oracle.Request) explain.Question {
	q := explain.Question{
		To: mesh.Name{Namespace: r.Namespace, Name: r.Service}, Port: uint16(r.Port),
		From: sender(w, r), Connection: r.HTTP == nil,
	}
	if r.HTTP != nil {
		q.Method, q.Path = r.HTTP.Method, r.HTTP.Path
		q.Headers = append(q.Headers, explain.Header{Name: "host", Value: r.HTTP.Authority})
		for _, h := range r.HTTP.Headers {
			q.Headers = append(q.Headers, explain.Header{Name: h.Name, Value: h.Value})
		}
	}
	return q
}

// sender is the account that the request comes from, none for a pod outside
// the mesh.
func sender(w *oracle.World, r oracle.Request) mesh.Account {
	namespace, name, _ := strings.Cut(cmp.Or(r.From, r.FromAccount), "/")
	if r.From == "" {
		return mesh.Account{Namespace: namespace, Name: name}
	}
	for _, p := range w.Pods {
		if p.Namespace == namespace && p.Name == name && p.Labels["smi-spec.io/inject"] != "disabled" {
			return mesh.Account{Namespace: namespace, Name: cmp.Or(p.Spec.ServiceAccountName, "default")}
		}
	}
	return mesh.Account{}
}

func format(a *explain.Answer, v oracle.Verdict) string {
	var b strings.Builder
	a.Findings = nil
	b.WriteString("explain says ")
	writeJSON(&b, a)
	b.WriteString("\noracle says ")
	writeJSON(&b, v)
	return b.String()
}

func writeJSON(b *strings.Builder, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	b.Write(text)
}
