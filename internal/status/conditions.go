package status

import (
	"fmt"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/mesh"
)

// The types of conditions.
const (
	// Accepted is True where all of the spec has an effect, as far as it depends on
	// the object itself. The message of False says which part has none.
	Accepted = "Accepted"
	// ResolvedRefs is True where everything that the object names exists.
	ResolvedRefs = "ResolvedRefs"
	// Conflicted is True where another object keeps this one from being applied.
	Conflicted = "Conflicted"
	// Programmed is True where the connected proxies that it concerns carry it out.
	Programmed = "Programmed"
)

// Reasons of conditions that no finding gives.
const (
	ReasonAccepted     = "Accepted"
	ReasonResolved     = "ResolvedRefs"
	ReasonNoConflict   = "NoConflict"
	ReasonProgrammed   = "Programmed"
	ReasonPending      = "Pending"
	ReasonRejected     = "RejectedByProxy"
	ReasonNothing      = "NothingToProgram"
	reasonUDP          = "NotProgrammed"
	messageUDP         = "UDP carries no certificate, so the mesh opens no port for it yet (AC-11)"
	messageNothing     = "nothing of it takes effect; see the other conditions"
	messageAllResolved = "everything it names exists"
)

// conditionTypes are those of each kind, in the order in which they are written.
var conditionTypes = map[string][]string{
	"TrafficTarget":   {Accepted, ResolvedRefs, Programmed},
	"TrafficSplit":    {Accepted, ResolvedRefs, Conflicted, Programmed},
	"IdentityBinding": {Accepted, ResolvedRefs},
	"HTTPRouteGroup":  {Accepted},
	"TCPRoute":        {Accepted},
	"UDPRoute":        {Accepted, Programmed},
}

// about says which condition a finding is about, by its reason. One that is not
// here is about Accepted, if it is an error, and a remark otherwise.
var about = map[string]string{
	"UnknownRoute":          ResolvedRefs,
	"UnknownMatch":          ResolvedRefs,
	"UnknownBinding":        ResolvedRefs,
	"UnknownServiceAccount": ResolvedRefs,
	"UnknownRoot":           ResolvedRefs,
	"UnknownBackend":        ResolvedRefs,
	"ForeignBackend":        ResolvedRefs,
	"NoSuchPort":            ResolvedRefs,
	"UntrustedDomain":       ResolvedRefs,
	"NoIdentity":            ResolvedRefs,
	"Conflicted":            Conflicted,
	"Unreachable":           Conflicted,
	reasonUDP:               Programmed,
}

// Progress is how far proxies carry an object out.
type Progress struct {
	// Nothing tells that there is nothing for proxies to carry out.
	Nothing bool
	// Rejected says what a proxy that the object concerns refuses, and why.
	Rejected string
	// Pending says what has not been acknowledged, or not been seen, yet.
	Pending string
}

// Conditions returns the conditions of an object of a kind, without times. The
// findings are those about the object, in their order.
func Conditions(kind string, generation int64, findings []mesh.Finding, progress Progress) []metav1.Condition {
	said := map[string][]mesh.Finding{}
	var remarks []mesh.Finding
	for _, f := range findings {
		switch to := about[f.Reason]; {
		case to != "":
			said[to] = append(said[to], f)
		case f.Severity == mesh.Error:
			said[Accepted] = append(said[Accepted], f)
		default:
			remarks = append(remarks, f)
		}
	}
	types := conditionTypes[kind]
	conditions := make([]metav1.Condition, 0, len(types))
	for _, t := range types {
		c := condition(t, said[t], remarks)
		if t == Programmed && len(said[t]) == 0 {
			c = programmed(kind, progress)
		}
		c.ObservedGeneration = generation
		conditions = append(conditions, c)
	}
	return conditions
}

// condition is the one of a type, by the findings about it.
func condition(t string, said, remarks []mesh.Finding) metav1.Condition {
	c := metav1.Condition{Type: t, Status: metav1.ConditionTrue}
	if (len(said) > 0) != (t == Conflicted) {
		c.Status = metav1.ConditionFalse
	}
	if len(said) > 0 {
		c.Reason, c.Message = said[0].Reason, describe(said)
		return c
	}
	switch t {
	case Accepted:
		c.Reason, c.Message = ReasonAccepted, "it takes part in the mesh"
		if len(remarks) > 0 {
			c.Message += "; to consider: " + describe(remarks)
		}
	case ResolvedRefs:
		c.Reason, c.Message = ReasonResolved, messageAllResolved
	case Conflicted:
		c.Reason, c.Message = ReasonNoConflict, "no other object keeps it from being applied"
	}
	return c
}

func programmed(kind string, p Progress) metav1.Condition {
	c := metav1.Condition{Type: Programmed, Status: metav1.ConditionFalse}
	switch {
	case kind == "UDPRoute":
		c.Reason, c.Message = reasonUDP, messageUDP
	case p.Rejected != "":
		c.Reason, c.Message = ReasonRejected, p.Rejected
	case p.Nothing:
		c.Reason, c.Message = ReasonNothing, messageNothing
	case p.Pending != "":
		c.Reason, c.Message = ReasonPending, p.Pending
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, ReasonProgrammed, "every connected proxy that it concerns carries it out"
	}
	return c
}

const (
	// maxDescribed is how many findings a message lists, and maxMessage how long it
	// gets, in bytes.
	maxDescribed = 5
	maxMessage   = 4 << 10
)

// describe lists findings in one line.
func describe(findings []mesh.Finding) string {
	var parts []string
	for i, f := range findings {
		if i == maxDescribed {
			parts = append(parts, fmt.Sprintf("and %d more, which smi check lists", len(findings)-i))
			break
		}
		text := f.Message
		if f.Field != "" {
			text = f.Field + ": " + text
		}
		if f.Rule != "" {
			text += " (" + f.Rule + ")"
		}
		parts = append(parts, text)
	}
	return cut(strings.Join(parts, "; "), maxMessage)
}

// cut shortens a text that someone else may have written, at the end of a letter, and
// takes out what a terminal would act on and what no reader sees.
func cut(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-3], "") + "..."
}

// isBad tells whether the author of an object should be told of a condition by an
// Event. What is about to become good, or follows from another condition, is not.
func isBad(c metav1.Condition) bool {
	if c.Type == Conflicted {
		return c.Status == metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionFalse && c.Reason != ReasonPending && c.Reason != ReasonNothing
}
