package worldgen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/smi-project/smi/internal/oracle"
)

// Describe is the world as Kubernetes objects, one YAML document each, for messages of failed tests and for tools that read
// manifests. The mesh's own configuration, which is no object, stands in a comment at the top where it is not the default.
func Describe(w *oracle.World) string {
	var out strings.Builder
	if w.Config != (oracle.Config{}) {
		fmt.Fprintf(&out, "# mesh configuration: %+v\n", w.Config)
	}
	write(&out, "v1", "Namespace", w.Namespaces)
	write(&out, "v1", "ServiceAccount", w.ServiceAccounts)
	write(&out, "v1", "Pod", w.Pods)
	write(&out, "v1", "Service", w.Services)
	write(&out, "access.smi-spec.io/v1alpha4", "TrafficTarget", w.TrafficTargets)
	write(&out, "access.smi-spec.io/v1alpha4", "IdentityBinding", w.IdentityBindings)
	write(&out, "specs.smi-spec.io/v1alpha4", "HTTPRouteGroup", w.HTTPRouteGroups)
	write(&out, "specs.smi-spec.io/v1alpha4", "TCPRoute", w.TCPRoutes)
	write(&out, "specs.smi-spec.io/v1alpha4", "UDPRoute", w.UDPRoutes)
	write(&out, "split.smi-spec.io/v1alpha4", "TrafficSplit", w.TrafficSplits)
	return out.String()
}

func write[T any](out *strings.Builder, apiVersion, kind string, objects []*T) {
	for _, object := range objects {
		raw, err := json.Marshal(object)
		if err != nil {
			panic(fmt.Sprintf("a %s has a JSON form: %v", kind, err))
		}
		var fields map[string]any
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&fields); err != nil {
			panic(fmt.Sprintf("a %s is a JSON object: %v", kind, err))
		}
		fields["apiVersion"], fields["kind"] = apiVersion, kind
		dropNoise(fields)
		out.WriteString("---\n")
		writeMap(out, fields, "")
	}
}

// noise are fields that say nothing where they are empty. Other empty values may have a meaning, as an empty selector has.
var noise = []string{"status", "resources", "loadBalancer", "spec", "matches", "schemes"}

func dropNoise(fields map[string]any) {
	for key, value := range fields {
		inner, isMap := value.(map[string]any)
		if isMap {
			dropNoise(inner)
		}
		if value == nil || isMap && len(inner) == 0 && slices.Contains(noise, key) {
			delete(fields, key)
			continue
		}
		items, _ := value.([]any)
		for _, item := range items {
			if inner, ok := item.(map[string]any); ok {
				dropNoise(inner)
			}
		}
	}
}

func writeMap(out *strings.Builder, fields map[string]any, indent string) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		out.WriteString(indent + scalar(key) + ":")
		writeValue(out, fields[key], indent+"  ")
	}
}

// writeValue continues a line that ends in a colon or a dash.
func writeValue(out *strings.Builder, value any, indent string) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			out.WriteString(" {}\n")
			return
		}
		out.WriteString("\n")
		writeMap(out, v, indent)
	case []any:
		if len(v) == 0 {
			out.WriteString(" []\n")
			return
		}
		out.WriteString("\n")
		for _, item := range v {
			writeItem(out, item, indent)
		}
	default:
		out.WriteString(" " + scalar(v) + "\n")
	}
}

// writeItem puts the first line of an item behind its dash.
func writeItem(out *strings.Builder, item any, indent string) {
	var text strings.Builder
	if fields, ok := item.(map[string]any); ok && len(fields) > 0 {
		writeMap(&text, fields, indent+"  ")
		out.WriteString(indent + "- " + strings.TrimPrefix(text.String(), indent+"  "))
		return
	}
	out.WriteString(indent + "-")
	writeValue(out, item, indent+"  ")
}

// plain are strings that YAML cannot take for anything else.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9./-]*$`)

var words = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// scalar is a JSON scalar, which is YAML as well, without quotes where it needs none.
func scalar(value any) string {
	text, isString := value.(string)
	if isString && plain.MatchString(text) && !slices.Contains(words, strings.ToLower(text)) {
		return text
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("%v is a JSON scalar: %v", value, err))
	}
	return strings.TrimSuffix(out.String(), "\n")
}
