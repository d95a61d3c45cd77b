package compile

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/mesh"
)

// report collects the findings about one object.
type report struct {
	object   mesh.ObjectRef
	findings []mesh.Finding
}

func reportOn(kind string, o metav1.Object) *report {
	return &report{object: mesh.ObjectRef{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}}
}

// place is where in an object a finding is, and which rule it is about.
type place struct {
	rule   string
	field  string
	reason string
}

func (r *report) errorf(p place, format string, args ...any) {
	r.add(mesh.Error, p, format, args...)
}

func (r *report) warnf(p place, format string, args ...any) {
	r.add(mesh.Warning, p, format, args...)
}

func (r *report) infof(p place, format string, args ...any) {
	r.add(mesh.Info, p, format, args...)
}

func (r *report) add(severity mesh.Severity, p place, format string, args ...any) {
	r.findings = append(r.findings, mesh.Finding{
		Rule: p.rule, Severity: severity, Object: r.object, Field: p.field,
		Reason: p.reason, Message: fmt.Sprintf(format, args...),
	})
}
