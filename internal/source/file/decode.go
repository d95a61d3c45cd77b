package file

import (
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"

	"github.com/smi-project/smi/mesh"
)

// entry is one object of a document.
type entry struct {
	ref mesh.ObjectRef
	// line is where it begins in its document.
	line int
	// made is empty where the object is known by name only, because something is
	// wrong with it.
	made
	// owner is the controller that made it, if it was read from a cluster.
	owner mesh.ObjectRef
}

func (e *entry) broken() bool { return e.object == nil && e.workload == nil }

// object adds what a value says to the document: an object, or a list of
// objects, whose items may leave out the type that the list has already. It
// returns false when the document holds too many.
func (d *documents) object(doc *document, v *value, listed typeName) bool {
	if doc.values++; doc.values > maxDocuments {
		doc.refuse(v.line, "TooLarge", "the document holds more than %d objects", maxDocuments)
		return false
	}
	if v.form == null {
		return true
	}
	if v.form != object {
		doc.report(v.line, mesh.Finding{
			Severity: mesh.Warning, Reason: "NoObject",
			Message: "there is " + describeOrReason(v) + " where a Kubernetes object is expected; it is left out",
		})
		return true
	}
	t := listed
	if kind := v.get("kind"); kind.string() != "" || t.kind == "" {
		t = typeNameOf(v.get("apiVersion").string(), kind.string())
	}
	if items := v.get("items"); items != nil && items.form == list && strings.HasSuffix(t.kind, "List") {
		itemType := typeName{t.group, t.version, strings.TrimSuffix(t.kind, "List")}
		for _, item := range items.items {
			if !d.object(doc, item, itemType) {
				return false
			}
		}
		return true
	}
	d.typed(doc, v, t)
	return true
}

func describeOrReason(v *value) string {
	if v.form == invalid {
		return "something unreadable (" + v.scalar + ")"
	}
	return v.describe()
}

// typed adds an object whose type is known, or says why it cannot.
func (d *documents) typed(doc *document, v *value, t typeName) {
	if t.kind == "" || t.version == "" {
		// Other YAML may lie beside the objects; what has metadata or a spec was
		// meant to be one.
		if v.get("metadata") != nil || v.get("spec") != nil {
			doc.report(v.line, mesh.Finding{
				Severity: mesh.Error, Reason: "NoType",
				Message: "the object is left out, because it needs an apiVersion and a kind, both of them strings",
			})
		}
		return
	}
	reader, known := d.readers[t]
	if !known {
		if f, ours := d.readers.whyNot(t); ours {
			f.Object = reference(v, t, reader)
			doc.report(lineOf(v, "apiVersion"), f)
			if f.Severity == mesh.Error && f.Object.Name != "" {
				doc.entries = append(doc.entries, &entry{ref: f.Object, line: v.line})
			}
		}
		return
	}
	e := &entry{ref: reference(v, t, reader), line: v.line}
	issues := reader.read(e, v, t)
	for _, i := range issues {
		i.finding.Object = e.ref
		doc.issues = append(doc.issues, i)
	}
	if e.ref.Name != "" {
		doc.entries = append(doc.entries, e)
	}
}

func lineOf(v *value, name string) int {
	if f := v.get(name); f != nil {
		return f.line
	}
	return v.line
}

// reference names an object that may be wrong in every respect.
func reference(v *value, t typeName, reader kindReader) mesh.ObjectRef {
	meta := v.get("metadata")
	ref := mesh.ObjectRef{Kind: plain(t.kind), Namespace: shownName(meta.get("namespace")), Name: shownName(meta.get("name"))}
	switch {
	case reader.cluster:
		ref.Namespace = ""
	case ref.Namespace == "":
		ref.Namespace = metav1.NamespaceDefault
	}
	return ref
}

// shownName returns a name as it is if anything could have it.
func shownName(v *value) string {
	if name := v.string(); name == "" || len(validation.IsDNS1123Subdomain(name)) == 0 {
		return name
	}
	return plain(v.string())
}

// read fills the entry and returns what is wrong.
func (r kindReader) read(e *entry, v *value, t typeName) []issue {
	encoded, problem := encode(v)
	if problem != "" {
		return []issue{refusal(e.line, "TooLarge", "", "%s", problem)}
	}
	issues := r.checkNames(e, v)
	blank := r.blank()
	c := &checker{kind: t.kind, smi: isSMI(t.group), narrows: isSMI(t.group) && t.kind != "TrafficSplit"}
	c.check(reflect.TypeOf(blank), v, "")
	issues = append(issues, c.issues...)
	for _, i := range issues {
		if i.finding.Severity == mesh.Error {
			return issues
		}
	}
	if err := json.UnmarshalCaseSensitivePreserveInts(encoded, blank); err != nil {
		return append(issues, refusal(e.line, "WrongType", "", "it cannot be read: %s", plain(err.Error())))
	}
	r.tidy(e, blank, t)
	e.made = r.finish(blank)
	if e.workload != nil && e.workload.replicas > MaxReplicas {
		e.made = made{}
		return append(issues, refusal(e.line, "TooLarge", "spec", "it asks for more than %d Pods", MaxReplicas))
	}
	return issues
}

// tidy gives the object its namespace and type, which a file may leave out, and
// drops the books of the API server.
func (r kindReader) tidy(e *entry, o metav1.Object, t typeName) {
	o.SetNamespace(e.ref.Namespace)
	o.SetManagedFields(nil)
	if owner := metav1.GetControllerOf(o); owner != nil {
		e.owner = mesh.ObjectRef{Kind: owner.Kind, Namespace: e.ref.Namespace, Name: owner.Name}
	}
	if typed, ok := o.(runtime.Object); ok {
		typed.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Group: t.group, Version: t.version, Kind: t.kind})
	}
}

// checkNames reports names that Kubernetes allows nobody. They become parts of
// identities (ID-1), so a slash in one would forge another.
func (r kindReader) checkNames(e *entry, v *value) []issue {
	var issues []issue
	meta := v.get("metadata")
	if name := meta.get("name"); name == nil || name.form == null || name.form == text && name.scalar == "" {
		issues = append(issues, refusal(v.line, "NoName", "metadata.name", "it needs a metadata.name"))
	} else if problems := r.named(e.ref.Name); name.form == text && len(problems) > 0 {
		issues = append(issues, refusal(lineOf(meta, "name"), "InvalidName", "metadata.name", "%s is no valid name: %s", quote(e.ref.Name), problems[0]))
	}
	if r.cluster {
		return issues
	}
	if problems := validation.IsDNS1123Label(e.ref.Namespace); len(problems) > 0 {
		issues = append(issues, refusal(lineOf(meta, "namespace"), "InvalidName", "metadata.namespace", "%s is no valid namespace: %s", quote(e.ref.Namespace), problems[0]))
	}
	return issues
}

func refusal(line int, reason, field, format string, args ...any) issue {
	return issue{line, mesh.Finding{
		Severity: mesh.Error, Field: field, Reason: reason, Message: fmt.Sprintf(format, args...),
	}}
}
