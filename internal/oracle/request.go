package oracle

import (
	"fmt"
	"math/big"
	"strconv"
)

// Request is one HTTP request, or one TCP connection, from a workload to a Service port.
type Request struct {
	// From is the client's pod as "namespace/name". An unmeshed pod is a client without identity, outside the mesh.
	From string
	// FromAccount is the client's account as "namespace/serviceaccount". It is read where From is empty, and means a meshed client.
	FromAccount string
	// Namespace, Service and Port name the Service port that the client calls.
	Namespace string
	Service   string
	Port      int32
	// HTTP is what an HTTP client sends. Where it is nil the client opens a TCP connection and sends bytes that are not HTTP.
	HTTP *HTTP
}

// HTTP is a request as the client sends it, before anything normalises it.
type HTTP struct {
	Method string
	// Path is the real :path, with its query.
	Path string
	// Headers are in the order sent; a name may occur several times. The Host header is Authority and never among them.
	Headers []Header
	// Authority is the Host header or :authority.
	Authority string
}

// Header is one header line.
type Header struct {
	Name  string
	Value string
}

// Verdict is what happens to a Request. Where none of the No... fields is set, the probabilities of the Outcomes that are
// allowed, Denied, Unavailable and BadRequest add up to one.
type Verdict struct {
	NoSuchClient  bool // Request.From names no pod
	NoSuchService bool
	NoSuchPort    bool // the Service has no such TCP port

	// Split is the TrafficSplit that was applied as "namespace/name", empty if none.
	Split string
	// Shares says which part of such requests goes to which Service, by name; they add up to one. Without a split it is the root
	// alone. Backends that receive nothing are not listed. It is empty where the client's own proxy answers 400.
	Shares []Share
	// Outcomes has one entry for every pod port that the request may reach, by name and port.
	Outcomes []Outcome

	Unavailable *big.Rat // the part that meets a Service without ready endpoints: 503 (TS-5)
	Denied      *big.Rat // the part that access control refuses (AC-1)
	BadRequest  *big.Rat // the part that gets 400: an encoded slash or backslash (SP-9), or bytes other than HTTP on a port declared HTTP (PR-1)
}

// Share is the part of the requests that a backend receives.
type Share struct {
	Backend string // the Service's name; its namespace is the root's
	Weight  *big.Rat
}

// Outcome is what happens at one pod.
type Outcome struct {
	Pod         string // "namespace/name"
	Account     string // "namespace/serviceaccount"
	Port        int32  // the pod's port
	Probability *big.Rat
	Allowed     bool
	BadRequest  bool   // not allowed, for the request itself is refused with 400
	Because     string // the rule, and the grant where there is one
}

// AllowedShare is the part of the requests that reach an application.
func (v Verdict) AllowedShare() *big.Rat {
	sum := new(big.Rat)
	for _, outcome := range v.Outcomes {
		if outcome.Allowed {
			sum.Add(sum, outcome.Probability)
		}
	}
	return sum
}

// String is the request on one line, for messages of failed tests.
func (r Request) String() string {
	from := r.From
	if from == "" {
		from = "account " + r.FromAccount
	}
	to := fmt.Sprintf("%s -> %s/%s:%d", from, r.Namespace, r.Service, r.Port)
	if r.HTTP == nil {
		return to + " TCP"
	}
	text := fmt.Sprintf("%s HTTP %s %s authority=%q", to, r.HTTP.Method, strconv.Quote(r.HTTP.Path), r.HTTP.Authority)
	for _, header := range r.HTTP.Headers {
		text += fmt.Sprintf(" %s=%q", header.Name, header.Value)
	}
	return text
}

// String is the verdict on a few lines, for messages of failed tests.
func (v Verdict) String() string {
	switch {
	case v.NoSuchClient:
		return "no such client"
	case v.NoSuchService:
		return "no such service"
	case v.NoSuchPort:
		return "no such port"
	}
	text := fmt.Sprintf("allowed=%s denied=%s unavailable=%s bad-request=%s split=%q", v.AllowedShare().RatString(), v.Denied.RatString(),
		v.Unavailable.RatString(), v.BadRequest.RatString(), v.Split)
	for _, share := range v.Shares {
		text += fmt.Sprintf("\n  share %s of %s", share.Weight.RatString(), share.Backend)
	}
	for _, o := range v.Outcomes {
		text += fmt.Sprintf("\n  %s at %s:%d (%s) allowed=%t: %s", o.Probability.RatString(), o.Pod, o.Port, o.Account, o.Allowed, o.Because)
	}
	return text
}
