package crd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

const folder = "../../config/crd"

// TestDefinitionsAreValid puts every definition through the check that the API
// server makes before it accepts one.
func TestDefinitionsAreValid(t *testing.T) {
	t.Parallel()
	for name, definition := range definitions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The server fills these in before it validates.
			definition.Status.StoredVersions = storedVersions(definition)
			if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), definition); len(errs) > 0 {
				t.Fatalf("the API server would refuse it: %v", errs.ToAggregate())
			}
			for _, version := range definition.Spec.Versions {
				structural := structuralOf(t, definition, version.Name)
				if errs := schema.ValidateStructural(nil, structural); len(errs) > 0 {
					t.Errorf("%s is not structural: %v", version.Name, errs.ToAggregate())
				}
				sub, err := apiextensions.GetSubresourcesForVersion(definition, version.Name)
				if err != nil || sub == nil || sub.Status == nil {
					t.Errorf("%s has no status subresource: %v", version.Name, err)
				}
			}
		})
	}
}

// TestV1alpha4IsStored holds every group to its storage version (VE-3).
func TestV1alpha4IsStored(t *testing.T) {
	t.Parallel()
	for name, definition := range definitions(t) {
		if got := storedVersions(definition); len(got) != 1 || got[0] != "v1alpha4" {
			t.Errorf("%s stores %v, want v1alpha4", name, got)
		}
		if got := definition.Spec.Names.Categories; len(got) != 1 || got[0] != "smi" {
			t.Errorf("%s has the categories %v, want smi", name, got)
		}
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	all := definitions(t)
	for _, test := range objectTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			object := parse(t, test.object)
			definition, version := find(t, all, object)
			structural := structuralOf(t, definition, version)
			before := fmt.Sprint(object)
			pruning.Prune(object, structural, true)
			pruned := fmt.Sprint(object) != before
			problems := validate(t, definition, version, object)

			switch {
			case test.refused == "" && problems != "":
				t.Errorf("refused: %s", problems)
			case test.refused == "" && pruned:
				t.Errorf("a field was dropped: %v", object)
			case !strings.Contains(problems, test.refused):
				t.Errorf("got %q, want it refused for %q", problems, test.refused)
			}
		})
	}
}

func validate(t *testing.T, d *apiextensions.CustomResourceDefinition, version string, object map[string]any) string {
	t.Helper()
	served, err := apiextensions.GetSchemaForVersion(d, version)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(served.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	errs := validation.ValidateCustomResource(nil, object, validator)
	celValidator := cel.NewValidator(structuralOf(t, d, version), true, celconfig.PerCallLimit)
	failed, _ := celValidator.Validate(context.Background(), nil, structuralOf(t, d, version), object, nil, celconfig.RuntimeCELCostBudget)
	errs = append(errs, failed...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, structuralOf(t, d, version), object)...)
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}

func definitions(t *testing.T) map[string]*apiextensions.CustomResourceDefinition {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no definitions in %s (run make generate): %v", folder, err)
	}
	all := map[string]*apiextensions.CustomResourceDefinition{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var external apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &external); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		scheme.Default(&external)
		internal := &apiextensions.CustomResourceDefinition{}
		if err := scheme.Convert(&external, internal, nil); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[internal.Name] = internal
	}
	return all
}

func storedVersions(d *apiextensions.CustomResourceDefinition) []string {
	var names []string
	for _, v := range d.Spec.Versions {
		if v.Storage {
			names = append(names, v.Name)
		}
	}
	return names
}

func structuralOf(t *testing.T, d *apiextensions.CustomResourceDefinition, version string) *schema.Structural {
	t.Helper()
	served, err := apiextensions.GetSchemaForVersion(d, version)
	if err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(served.OpenAPIV3Schema)
	if err != nil {
		t.Fatalf("%s: %v", version, err)
	}
	return structural
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	// This reader tells whole numbers from others, as the API server's does.
	if err := json.Unmarshal(asJSON, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func find(t *testing.T, all map[string]*apiextensions.CustomResourceDefinition, object map[string]any) (*apiextensions.CustomResourceDefinition, string) {
	t.Helper()
	group, version, _ := strings.Cut(fmt.Sprint(object["apiVersion"]), "/")
	for _, d := range all {
		if d.Spec.Group == group && d.Spec.Names.Kind == object["kind"] {
			return d, version
		}
	}
	t.Fatalf("nothing defines %v %v", object["apiVersion"], object["kind"])
	return nil, ""
}
