package mesh

import "cmp"

// Severity says how bad a finding is.
type Severity string

// The severities, from bad to worse.
const (
	// Info tells what an author may want to know.
	Info Severity = "info"
	// Warning is probably not what the author meant.
	Warning Severity = "warning"
	// Error means that part of the object has no effect.
	Error Severity = "error"
)

// Finding is something about an object that its author should know.
type Finding struct {
	// Rule is the number of the rule in docs/semantics.md, such as "AC-7".
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Object is what the finding is about.
	Object ObjectRef `json:"object"`
	// Field is the path of the field, such as "spec.rules[0].matches[1]".
	Field string `json:"field,omitempty"`
	// Reason is one word in CamelCase, fit for a condition.
	Reason string `json:"reason"`
	// Message says what is wrong, what follows from it and what to do.
	Message string `json:"message"`
}

// ObjectRef names an object.
type ObjectRef struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns "Kind namespace/name".
func (r ObjectRef) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Compare orders findings by object, then field, rule and message.
func (f Finding) Compare(o Finding) int {
	if c := cmp.Compare(f.Object.Namespace, o.Object.Namespace); c != 0 {
		return c
	}
	if c := cmp.Or(cmp.Compare(f.Object.Kind, o.Object.Kind), cmp.Compare(f.Object.Name, o.Object.Name)); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(f.Field, o.Field),
		cmp.Compare(f.Rule, o.Rule),
		cmp.Compare(f.Reason, o.Reason),
		cmp.Compare(f.Message, o.Message),
	)
}
