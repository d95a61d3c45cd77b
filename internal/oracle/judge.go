package oracle

import (
	"math/big"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Judge says what the rules make of the request in the world.
func Judge(w *World, r Request) Verdict {
	v := Verdict{Unavailable: new(big.Rat), Denied: new(big.Rat), BadRequest: new(big.Rat)}
	client, inMesh, known := w.client(r)
	if !known {
		v.NoSuchClient = true
		return v
	}
	root := w.service(r.Namespace, r.Service)
	if root == nil {
		v.NoSuchService = true
		return v
	}
	port, ok := servicePort(root, r.Port)
	if !ok {
		v.NoSuchPort = true
		return v
	}
	v.Shares = []Share{{Backend: root.Name, Weight: big.NewRat(1, 1)}}
	if inMesh { // TS-12: a client outside the mesh uses the plain Service
		isHTTP := clientProtocol(port).isHTTP(r.HTTP)
		// PR-1, SP-9: what the client's own proxy cannot read, or must not pass on, goes nowhere.
		if isHTTP && (r.HTTP == nil || hasEncodedSlash(r.HTTP.Path)) {
			v.Shares = nil
			v.BadRequest.SetInt64(1)
			return v
		}
		request := r.HTTP
		if !isHTTP {
			request = nil // TS-9
		}
		applied, shares := w.route(root, port, request)
		v.Shares = shares
		if applied != nil {
			v.Split = applied.Namespace + "/" + applied.Name
		}
	}
	for _, share := range v.Shares {
		w.deliver(&v, client, share, r)
	}
	slices.SortFunc(v.Outcomes, func(a, b Outcome) int {
		if c := strings.Compare(a.Pod, b.Pod); c != 0 {
			return c
		}
		return int(a.Port - b.Port)
	})
	return v
}

// client is the identity that the request comes with, and whether it comes from inside the mesh.
func (w *World) client(r Request) (client account, inMesh, known bool) {
	if r.From == "" {
		namespace, name, ok := strings.Cut(r.FromAccount, "/")
		return account{namespace, name}, ok, ok
	}
	namespace, name, _ := strings.Cut(r.From, "/")
	pod := w.pod(namespace, name)
	if pod == nil {
		return account{}, false, false
	}
	if !meshed(pod) {
		return account{}, false, true // ID-3: it has no certificate
	}
	return accountOf(pod), true, true // ID-1
}

// deliver spreads a share evenly over the backend's ready endpoints, each of which judges for itself (AC-13, TS-10).
// TS-8: a backend's own split is not followed.
func (w *World) deliver(v *Verdict, client account, share Share, r Request) {
	backend := w.service(r.Namespace, share.Backend)
	port, _ := servicePort(backend, r.Port) // TS-4: its own target port
	reached := w.endpoints(backend, port)
	if len(reached) == 0 {
		v.Unavailable.Add(v.Unavailable, share.Weight) // TS-5
		return
	}
	each := new(big.Rat).Mul(share.Weight, big.NewRat(1, int64(len(reached))))
	for _, to := range reached {
		allowed, badRequest, because := w.judgePod(client, to, r.HTTP)
		switch {
		case badRequest:
			v.BadRequest.Add(v.BadRequest, each)
		case !allowed:
			v.Denied.Add(v.Denied, each)
		}
		v.add(Outcome{
			Pod: podName(to.pod), Account: accountOf(to.pod).String(), Port: to.port,
			Probability: new(big.Rat).Set(each), Allowed: allowed, BadRequest: badRequest, Because: because,
		})
	}
}

// add merges what several backends send to one pod port.
func (v *Verdict) add(outcome Outcome) {
	for i := range v.Outcomes {
		if v.Outcomes[i].Pod == outcome.Pod && v.Outcomes[i].Port == outcome.Port {
			v.Outcomes[i].Probability.Add(v.Outcomes[i].Probability, outcome.Probability)
			return
		}
	}
	v.Outcomes = append(v.Outcomes, outcome)
}

func podName(pod *corev1.Pod) string {
	return pod.Namespace + "/" + pod.Name
}
