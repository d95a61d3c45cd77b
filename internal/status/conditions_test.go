package status

import (
	"strings"
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/mesh"
)

func finding(severity mesh.Severity, reason string) mesh.Finding {
	return mesh.Finding{Rule: "AC-7", Severity: severity, Field: "spec.rules[0]", Reason: reason, Message: "something about " + reason}
}

// TestConditions is the table of what findings and proxies make of conditions.
func TestConditions(t *testing.T) {
	for _, test := range []struct {
		name     string
		kind     string
		findings []mesh.Finding
		progress Progress
		want     string // type=status/reason, in order
	}{
		{"all is well", "TrafficTarget", nil, Progress{}, "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed"},
		{"a split", "TrafficSplit", nil, Progress{}, "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Conflicted=False/NoConflict Programmed=True/Programmed"},
		{"a binding", "IdentityBinding", nil, Progress{Nothing: true}, "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs"},
		{"a group", "HTTPRouteGroup", nil, Progress{Nothing: true}, "Accepted=True/Accepted"},
		{"a TCPRoute", "TCPRoute", nil, Progress{Nothing: true}, "Accepted=True/Accepted"},
		{"a UDPRoute is never programmed (AC-11)", "UDPRoute", nil, Progress{}, "Accepted=True/Accepted Programmed=False/NotProgrammed"},
		{
			"a reference that dangles", "TrafficTarget", []mesh.Finding{finding(mesh.Error, "UnknownRoute")}, Progress{},
			"Accepted=True/Accepted ResolvedRefs=False/UnknownRoute Programmed=True/Programmed",
		},
		{
			"a backend that is missing, which is a warning", "TrafficSplit", []mesh.Finding{finding(mesh.Warning, "UnknownBackend")}, Progress{},
			"Accepted=True/Accepted ResolvedRefs=False/UnknownBackend Conflicted=False/NoConflict Programmed=True/Programmed",
		},
		{
			"an error of the object's own", "TrafficTarget", []mesh.Finding{finding(mesh.Error, "NoSource")}, Progress{Nothing: true},
			"Accepted=False/NoSource ResolvedRefs=True/ResolvedRefs Programmed=False/NothingToProgram",
		},
		{"a remark", "HTTPRouteGroup", []mesh.Finding{finding(mesh.Warning, "NotAnchored")}, Progress{}, "Accepted=True/Accepted"},
		{
			"a split in another's way", "TrafficSplit", []mesh.Finding{finding(mesh.Error, "Conflicted")}, Progress{Nothing: true},
			"Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Conflicted=True/Conflicted Programmed=False/NothingToProgram",
		},
		{
			"UDP among the rules", "TrafficTarget", []mesh.Finding{finding(mesh.Warning, "NotProgrammed")}, Progress{},
			"Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=False/NotProgrammed",
		},
		{
			"proxies that catch up", "TrafficTarget", nil, Progress{Pending: "proxies of a/b"},
			"Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=False/Pending",
		},
		{
			"a proxy that refuses comes before one that catches up", "TrafficTarget", nil, Progress{Rejected: "no", Pending: "wait"},
			"Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=False/RejectedByProxy",
		},
		{
			"the first of several reasons", "TrafficTarget", []mesh.Finding{finding(mesh.Error, "UnknownRoute"), finding(mesh.Error, "UnknownMatch")}, Progress{},
			"Accepted=True/Accepted ResolvedRefs=False/UnknownRoute Programmed=True/Programmed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, c := range Conditions(test.kind, 7, test.findings, test.progress) {
				got = append(got, c.Type+"="+string(c.Status)+"/"+c.Reason)
				if c.ObservedGeneration != 7 || c.Message == "" {
					t.Errorf("%s has generation %d and the message %q", c.Type, c.ObservedGeneration, c.Message)
				}
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("got  %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	var many []mesh.Finding
	for range 8 {
		many = append(many, finding(mesh.Error, "UnknownRoute"))
	}
	many = append(many, finding(mesh.Warning, "NotAnchored"))
	conditions := Conditions("TrafficTarget", 1, many, Progress{})
	refs := apimeta.FindStatusCondition(conditions, ResolvedRefs).Message
	if !strings.HasPrefix(refs, "spec.rules[0]: something about UnknownRoute (AC-7); ") || !strings.HasSuffix(refs, "; and 3 more, which smi check lists") {
		t.Errorf("message %q", refs)
	}
	if accepted := apimeta.FindStatusCondition(conditions, Accepted).Message; accepted != "it takes part in the mesh; to consider: spec.rules[0]: something about NotAnchored (AC-7)" {
		t.Errorf("message %q", accepted)
	}
	hostile := finding(mesh.Error, "NoSource")
	hostile.Message = strings.Repeat("é", maxMessage)
	if got := Conditions("TrafficTarget", 1, []mesh.Finding{hostile}, Progress{})[0].Message; len(got) > maxMessage || !strings.HasSuffix(got, "é...") {
		t.Errorf("a message of %d bytes, which ends with %q", len(got), got[len(got)-8:])
	}
}

// TestIsBad tells which conditions make an Event.
func TestIsBad(t *testing.T) {
	for _, test := range []struct {
		kind   string
		status metav1.ConditionStatus
		reason string
		want   bool
	}{
		{Accepted, metav1.ConditionFalse, "NoSource", true},
		{Accepted, metav1.ConditionTrue, ReasonAccepted, false},
		{ResolvedRefs, metav1.ConditionFalse, "UnknownRoute", true},
		{Conflicted, metav1.ConditionTrue, "Conflicted", true},
		{Conflicted, metav1.ConditionFalse, ReasonNoConflict, false},
		{Programmed, metav1.ConditionFalse, ReasonPending, false},
		{Programmed, metav1.ConditionFalse, ReasonNothing, false},
		{Programmed, metav1.ConditionFalse, ReasonRejected, true},
	} {
		if got := isBad(metav1.Condition{Type: test.kind, Status: test.status, Reason: test.reason}); got != test.want {
			t.Errorf("%s=%s for %s: %t, want %t", test.kind, test.status, test.reason, got, test.want)
		}
	}
}
