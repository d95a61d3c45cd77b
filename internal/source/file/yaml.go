package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// syntaxError is what makes a document unreadable as a whole.
type syntaxError struct {
	line    int
	message string
}

// parseYAML returns the values of a piece of YAML, usually one.
func parseYAML(data []byte) (values []*value, problem *syntaxError) {
	// The parser is not ours and gets whatever a file contains. That it has no
	// answer to some of it must not take down who watches the file.
	defer func() {
		if r := recover(); r != nil {
			values, problem = nil, &syntaxError{1, "the YAML parser gives up on it"}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, yamlError(err)
		}
		if len(node.Content) == 1 {
			c := &converter{anchored: map[*yaml.Node]*value{}}
			values = append(values, c.value(node.Content[0], 0))
		}
	}
}

var (
	yamlErrorForm = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// fromZero are the messages of that half of the YAML parser which counts lines
	// from 0; the other half counts from 1.
	fromZero = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or )|^found (duplicate|incompatible|undefined)`)
)

func yamlError(err error) *syntaxError {
	message := err.Error()
	found := yamlErrorForm.FindStringSubmatch(message)
	if found == nil {
		return &syntaxError{1, message}
	}
	message = message[len(found[0]):]
	line, err := strconv.Atoi(found[1])
	if err != nil {
		return &syntaxError{1, message}
	}
	if fromZero.MatchString(message) {
		line++
	}
	return &syntaxError{max(1, line), message}
}

// converter turns YAML nodes into values as Kubernetes reads them: plain words
// such as yes and off are booleans, keys are strings.
type converter struct {
	// anchored holds the values of nodes that aliases can refer to; nil while
	// they are being converted.
	anchored map[*yaml.Node]*value
	// merged counts the fields that `<<` copied.
	merged int
}

func (c *converter) value(n *yaml.Node, depth int) *value {
	if n.Kind == yaml.AliasNode {
		return c.value(n.Alias, depth)
	}
	if n.Anchor == "" {
		return c.convert(n, depth)
	}
	if v, seen := c.anchored[n]; seen {
		if v == nil {
			return bad(n, "*"+n.Anchor+" refers to a value that contains itself")
		}
		return v
	}
	c.anchored[n] = nil
	v := c.convert(n, depth)
	c.anchored[n] = v
	return v
}

func (c *converter) convert(n *yaml.Node, depth int) *value {
	if depth > maxDepth {
		return bad(n, fmt.Sprintf("it is nested deeper than %d levels", maxDepth))
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return scalar(n)
	case yaml.SequenceNode:
		v := &value{form: list, line: n.Line, items: make([]*value, 0, len(n.Content))}
		for _, item := range n.Content {
			v.items = append(v.items, c.value(item, depth+1))
		}
		return v
	case yaml.MappingNode:
		return c.mapping(n, depth)
	default:
		return bad(n, "it is no YAML value")
	}
}

func (c *converter) mapping(n *yaml.Node, depth int) *value {
	v := &value{form: object, line: n.Line, fields: make([]field, 0, len(n.Content)/2)}
	index := make(map[string]int, len(n.Content)/2)
	var merges []*value
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, content := n.Content[i], c.value(n.Content[i+1], depth+1)
		if key.ShortTag() == "!!merge" {
			merges = append(merges, content)
			continue
		}
		name, err := keyName(key)
		if err != nil {
			name, content = key.Value, bad(key, err.Error())
		}
		if first, twice := index[name]; twice {
			v.fields[first].value = bad(key, givenTwice)
			continue
		}
		index[name] = len(v.fields)
		v.fields = append(v.fields, field{name, key.Line, content})
	}
	for _, m := range merges {
		c.merge(v, index, m)
	}
	return v
}

// merge adds the fields of m, or of the objects in the list m, that v lacks.
func (c *converter) merge(v *value, index map[string]int, m *value) {
	switch m.form {
	case list:
		for _, item := range m.items {
			if item.form != object {
				v.fields = append(v.fields, field{"<<", m.line, &value{form: invalid, line: m.line, scalar: "it must name objects"}})
				return
			}
			c.merge(v, index, item)
		}
	case object:
		if c.merged += len(m.fields); c.merged > maxMerged {
			v.fields = append(v.fields, field{"<<", m.line, &value{form: invalid, line: m.line, scalar: "the document merges too much by <<"}})
			return
		}
		for _, f := range m.fields {
			if _, given := index[f.name]; !given {
				index[f.name] = len(v.fields)
				v.fields = append(v.fields, f)
			}
		}
	default:
		v.fields = append(v.fields, field{"<<", m.line, &value{form: invalid, line: m.line, scalar: "it must name an object or a list of objects"}})
	}
}

func bad(n *yaml.Node, message string) *value {
	return &value{form: invalid, line: n.Line, scalar: message}
}

// keyName returns the name of a field. As in Kubernetes, numbers and booleans
// are read as their text.
func keyName(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		return "", errors.New("a key must be a string")
	}
	switch v := scalar(n); v.form {
	case text, number, boolean:
		return v.scalar, nil
	case null:
		return "", errors.New("a key must be a string, and this one is empty")
	default:
		return "", errors.New(v.scalar)
	}
}

// oldBooleans are the booleans of YAML 1.1, which Kubernetes reads.
var oldBooleans = map[string]string{
	"y": "true", "Y": "true", "yes": "true", "Yes": "true", "YES": "true", "on": "true", "On": "true", "ON": "true",
	"n": "false", "N": "false", "no": "false", "No": "false", "NO": "false", "off": "false", "Off": "false", "OFF": "false",
}

func scalar(n *yaml.Node) *value {
	tag := n.ShortTag()
	if b, old := oldBooleans[n.Value]; old && n.Style == 0 && tag == "!!str" {
		return &value{form: boolean, line: n.Line, scalar: b, raw: n.Value}
	}
	switch tag {
	case "!!str", "!!timestamp", "!!merge":
		return &value{form: text, line: n.Line, scalar: n.Value}
	case "!!null":
		return &value{form: null, line: n.Line}
	case "!!bool", "!!int", "!!float", "!!binary":
		return decodedScalar(n)
	default:
		return bad(n, "Kubernetes knows no tag "+plain(tag))
	}
}

func decodedScalar(n *yaml.Node) *value {
	var decoded any
	if err := n.Decode(&decoded); err != nil {
		return bad(n, quote(n.Value)+" is no "+n.ShortTag()[2:])
	}
	switch decoded := decoded.(type) {
	case bool:
		return &value{form: boolean, line: n.Line, scalar: strconv.FormatBool(decoded), raw: n.Value}
	case string:
		return &value{form: text, line: n.Line, scalar: decoded}
	case float64:
		if math.IsInf(decoded, 0) || math.IsNaN(decoded) {
			return bad(n, n.Value+" is no number that JSON knows")
		}
		return &value{form: number, line: n.Line, scalar: formatFloat(decoded), raw: n.Value}
	default:
		return &value{form: number, line: n.Line, scalar: fmt.Sprint(decoded), raw: n.Value}
	}
}

// formatFloat writes whole numbers as such, since 1e3 may stand for an integer.
func formatFloat(f float64) string {
	const exact = 1 << 53 // up to here a float64 holds every integer
	if f == math.Trunc(f) && math.Abs(f) <= exact {
		return strconv.FormatInt(int64(f), 10)
	}
	written, _ := json.Marshal(f) // finite numbers have a JSON form
	return string(written)
}
