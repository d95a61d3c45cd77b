package conformance

import (
	"fmt"
	"time"

	"github.com/smi-project/smi/conformance/driver"
	"github.com/smi-project/smi/conformance/report"
)

// Denied expects what AC-12 says of a denial: 403 for HTTP, PermissionDenied for
// gRPC, a connection that is made and then closed without a byte; and that
// control requests to the same workload succeed before and after it, so that it is
// a denial and no outage.
func (t *T) Denied(c Call) *driver.Answer {
	return t.DeniedWith(c, "a denial", func(*driver.Answer) string { return "" })
}

// DeniedWith expects a denial in which complaint finds nothing to complain about.
func (t *T) DeniedWith(c Call, wanted string, complaint func(*driver.Answer) string) *driver.Answer {
	return t.betweenControls(c, func() *driver.Answer {
		answer := t.Answered(c, wanted, func(a *driver.Answer) string {
			if no := notDenied(c, a); no != "" {
				return no
			}
			return complaint(a)
		})
		t.tellEnding(c, answer)
		return answer
	})
}

// notDenied complains of an answer to the call that is no denial (AC-12).
func notDenied(c Call, a *driver.Answer) string {
	switch c.request.Protocol {
	case driver.TCP:
		return notClosed(a)
	case driver.UDP:
		switch {
		case a.Pod != "":
			return "the datagram reached the application"
		case a.Failure == driver.NotConnected:
			return "the datagram was not sent"
		}
	case driver.GRPC:
		if a.Code != "PermissionDenied" || a.Pod != "" {
			return "not PermissionDenied of the mesh"
		}
	default:
		if a.Status != 403 || a.Pod != "" {
			return "not a 403 of the mesh"
		}
	}
	return ""
}

// notClosed complains of a connection that was not closed by a mesh which had
// taken it. One that was not made could as well have met a dead listener.
func notClosed(a *driver.Answer) string {
	switch {
	case a.Failure == driver.NotConnected, a.Failure == driver.Refused:
		return "no connection was made, as in an outage"
	case !a.Closed || a.Body != "":
		return "the connection was not closed without a byte"
	}
	return ""
}

// tellEnding adds to the evidence how a connection ended that was denied.
func (t *T) tellEnding(c Call, a *driver.Answer) {
	last := &t.evidence[len(t.evidence)-1]
	if c.request.Protocol == driver.TCP && last.Held && a.Failure != "" {
		last.Detail = "once made, the connection was " + string(a.Failure)
	}
}

// DeniedWithin expects that whatever is sent once the bound has passed is denied,
// and that control requests succeed before and after. It asks again as long as an
// application answers, and judges the first answer that comes from none.
func (t *T) DeniedWithin(bound time.Duration, c Call) *driver.Answer {
	return t.betweenControls(c, func() *driver.Answer {
		started := time.Now()
		all := driver.Report{Words: map[string]int{}}
		for {
			sent := time.Since(started)
			got := t.Send(c, 1)
			all.Sent += got.Sent
			all.First = got.First
			all.Words[got.First.Word()]++
			if got.First.Pod != "" && sent < bound {
				continue
			}
			detail := notDenied(c, &got.First)
			if detail != "" {
				detail += fmt.Sprintf(", sent %s after the start: %s", sent.Round(time.Millisecond), describe(&got.First))
			}
			t.record(c, fmt.Sprintf("denials, of all that is sent after %s", bound), &all, detail)
			t.evidence[len(t.evidence)-1].Elapsed = sent.Seconds()
			t.tellEnding(c, &got.First)
			return &got.First
		}
	})
}

// Unreached expects that no application answers, in whatever form: what a client
// outside the mesh is told is not SMI's. It has to have found the mesh, though.
func (t *T) Unreached(c Call) *driver.Answer {
	return t.betweenControls(c, func() *driver.Answer {
		return t.Answered(c, "no answer of an application", func(a *driver.Answer) string {
			switch {
			case a.Pod != "":
				return "it reached the application"
			case a.Failure == driver.NotConnected:
				return "it found nobody to keep it out"
			}
			return ""
		})
	})
}

// betweenControls makes one observation between control requests, and keeps in its
// evidence how many of those succeeded.
func (t *T) betweenControls(c Call, observe func() *driver.Answer) *driver.Answer {
	before := t.controls(c)
	answer := observe()
	last := len(t.evidence) - 1
	after := t.controls(c)
	t.evidence[last].Controls = before + after
	return answer
}

// plain is a server outside the mesh, which the client there can reach.
const plain = "plain." + Outside

// controlPort is where a Service takes control requests. Where pods are called by
// their own addresses, nobody stands between to map its ports to theirs.
func controlPort(host string) uint16 {
	if host == "headless."+Apps {
		return 8080
	}
	return 80
}

// controls sends what shows that the call's destination is well, and returns how
// much of it succeeded. One that fails is an outage.
func (t *T) controls(c Call) int {
	var requests []Call
	if !t.uncontrolled {
		requests = append(requests, Control.Get(c.request.Host, controlPort(c.request.Host), "/control"))
		if c.from != Control && t.grantsControl(c) {
			requests = append(requests, Call{from: Control, request: driver.Request{
				Protocol: c.request.Protocol, Host: c.request.Host, Port: c.request.Port, Body: "control\n",
			}})
		}
	}
	if c.from == Stranger {
		// Else all that it cannot reach could be its own trouble.
		requests = append(requests, Stranger.Get(plain, 80, "/control"))
	}
	succeeded := 0
	for _, request := range requests {
		got := t.Send(request, 1)
		if got.First.Succeeded() {
			succeeded++
			continue
		}
		t.record(request, "an answer to the control request", got, "there is an outage: "+describe(&got.First))
	}
	return succeeded
}

// grantsControl tells whether the fixture lets the control client through to the
// call's port by the call's transport, as it does for a mesh that claims it.
func (t *T) grantsControl(c Call) bool {
	switch c.request.Protocol {
	case driver.TCP:
		return (c.request.Port == 9000 || c.request.Port == 9001) && t.run.claim.of(AccessTCP) != report.None
	case driver.UDP:
		return c.request.Port == 9002 && t.run.claim.of(AccessUDP) != report.None
	}
	return false
}
