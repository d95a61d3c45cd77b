package chart

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/config"
)

// schema is as much of a JSON schema as the test reads.
type schema struct {
	Properties map[string]schema `json:"properties"`
}

// TestConfigurationIsDocumented sees that every field of the controller's
// configuration is checked and explained: a field that is not is passed on, but
// nobody is told of it.
func TestConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(folder + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var all schema
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	values, err := os.ReadFile(folder + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "config", all.Properties["config"], reflect.TypeFor[config.Controller](), string(values))
}

func compare(t *testing.T, path string, has schema, fields reflect.Type, values string) {
	t.Helper()
	known := map[string]bool{}
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		known[name] = true
		at := path + "." + name
		property, there := has.Properties[name]
		if !there {
			t.Errorf("values.schema.json does not describe %s", at)
		}
		if given := name == "apiVersion" || name == "kind" || name == "service" || strings.HasPrefix(at, "config.image"); !given && !strings.Contains(values, " "+name+":") {
			t.Errorf("values.yaml does not explain %s", at)
		}
		of := fields.Field(i).Type
		if of.Kind() == reflect.Struct && of != reflect.TypeFor[metav1.Duration]() && of != reflect.TypeFor[corev1.ResourceRequirements]() {
			compare(t, at, property, of, values)
		}
	}
	for name := range has.Properties {
		if !known[name] {
			t.Errorf("values.schema.json describes %s.%s, which does not exist", path, name)
		}
	}
}
