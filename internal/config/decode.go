package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	strictjson "sigs.k8s.io/json"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/spelling"
)

// maxFile bounds the file before it is parsed, in bytes.
const maxFile = 1 << 20

// Load reads a file, fills in defaults and validates. The error names the file
// and everything that is wrong with it.
func Load(path string) (*Controller, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("configuration %s: longer than %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Default returns the configuration of an empty file.
func Default() *Controller {
	c := &Controller{APIVersion: APIVersion, Kind: Kind}
	c.setDefaults()
	return c
}

// Parse reads the text of a file, fills in defaults and validates. A field that
// does not exist, or is there twice, is an error: it may be a misspelt
// restriction.
func Parse(text []byte) (*Controller, error) {
	asJSON, err := k8syaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	c := &Controller{}
	unknown, err := strictjson.UnmarshalStrict(asJSON, c)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if c.APIVersion != APIVersion || c.Kind != Kind {
		return nil, fmt.Errorf("it is %q of %q; this release reads kind %q of apiVersion %q", c.Kind, c.APIVersion, Kind, APIVersion)
	}
	problems := explain(text, unknown)
	c.setDefaults()
	if err := c.validate().ToAggregate(); err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// explain adds the line and what was probably meant to errors of the decoder.
func explain(text []byte, unknown []error) []error {
	problems := make([]error, len(unknown))
	for i, err := range unknown {
		problems[i] = err
		var at strictjson.FieldError
		if !errors.As(err, &at) {
			continue
		}
		path := strings.Split(at.FieldPath(), ".")
		name := path[len(path)-1]
		hint := spelling.Hint(name, fieldsOf(reflect.TypeFor[Controller](), path[:len(path)-1]))
		problems[i] = fmt.Errorf("%sthere is no field %s%s", lineOf(text, path), at.FieldPath(), hint)
	}
	return problems
}

// fieldsOf are the fields of the struct at a path, by their names in a file.
func fieldsOf(t reflect.Type, path []string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if len(path) > 0 && name == path[0] {
			return fieldsOf(t.Field(i).Type, path[1:])
		}
		names = append(names, name)
	}
	if len(path) > 0 {
		return nil
	}
	slices.Sort(names)
	return names
}

// lineOf is "line N: " for the key at a path, empty where it is not to be found.
func lineOf(text []byte, path []string) string {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Content) == 0 {
		return ""
	}
	node, line := document.Content[0], 0
	for _, name := range path {
		key := slices.IndexFunc(node.Content, func(n *yaml.Node) bool { return n.Value == name })
		if node.Kind != yaml.MappingNode || key < 0 || key%2 != 0 {
			return ""
		}
		line = node.Content[key].Line
		node = node.Content[key+1]
	}
	return fmt.Sprintf("line %d: ", line)
}
