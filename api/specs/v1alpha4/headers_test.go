package v1alpha4

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []HTTPHeader
	}{
		{"map", `{"user-agent":".*Firefox.*"}`, []HTTPHeader{{"user-agent", ".*Firefox.*"}}},
		{"map in its order", `{"z":"1","a":"2","m":"3"}`, []HTTPHeader{{"z", "1"}, {"a", "2"}, {"m", "3"}}},
		{"list", `[{"z":"1"},{"a":"2"}]`, []HTTPHeader{{"z", "1"}, {"a", "2"}}},
		{"list with a repeated name", `[{"cookie":".*a=1.*"},{"cookie":".*b=2.*"}]`, []HTTPHeader{{"cookie", ".*a=1.*"}, {"cookie", ".*b=2.*"}}},
		{"case of names is kept", `{"X-Custom":"a"}`, []HTTPHeader{{"X-Custom", "a"}}},
		{"escapes", `{"a":"\u003ca\"b"}`, []HTTPHeader{{"a", `<a"b`}}},
		{"empty expression", `{"a":""}`, []HTTPHeader{{"a", ""}}},
		{"empty map", `{}`, nil},
		{"empty list", `[]`, nil},
		{"absent", `null`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var h HTTPHeaders
			if err := json.Unmarshal([]byte(test.text), &h); err != nil {
				t.Fatal(err)
			}
			if err := h.Validate(); err != nil {
				t.Errorf("refused: %v", err)
			}
			if diff := cmp.Diff(test.want, h.Entries()); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			back, err := h.MarshalJSON()
			if err != nil || string(back) != test.text {
				t.Errorf("came back as %s, %v", back, err)
			}
		})
	}
}

// TestMalformedHeaders: the object stays readable, says what is wrong, keeps its
// text, and its match can never grant anything.
func TestMalformedHeaders(t *testing.T) {
	t.Parallel()
	many := strings.TrimSuffix(strings.Repeat(`{"a":"b"},`, MaxHeaders+1), ",")
	tests := map[string]struct{ text, want string }{
		"a number":               {`5`, "must be a map"},
		"a string":               {`"user-agent"`, "must be a map"},
		"a number as value":      {`{"a":1}`, "must be a map"},
		"null as value":          {`{"a":null}`, "must be a map"},
		"an object as value":     {`{"a":{"b":"c"}}`, "must be a map"},
		"a list of strings":      {`["a"]`, "must be a map"},
		"a list of lists":        {`[["a"]]`, "must be a map"},
		"null in a list":         {`[null]`, "must be a map"},
		"an item with two names": {`[{"a":"b"},{"a":"b","c":"d"}]`, "headers[1] has 2 names"},
		"an item without names":  {`[{}]`, "headers[0] has 0 names"},
		"a name twice in a map":  {`{"a":"b","a":"c"}`, "twice"},
		"no name":                {`{"":"b"}`, "empty name"},
		"a name with a space":    {`{"a b":"c"}`, "no HTTP header can have"},
		"a pseudo-header":        {`{":path":"/"}`, "no HTTP header can have"},
		"a line break in a name": {`{"a\nb":"c"}`, "no HTTP header can have"},
		"a long name":            {`{"` + strings.Repeat("a", MaxHeaderNameBytes+1) + `":"b"}`, "257 bytes"},
		"a long expression":      {`{"a":"` + strings.Repeat("b", MaxHeaderValueBytes+1) + `"}`, "4097 bytes"},
		"many":                   {`[` + many + `]`, "more than 64"},
		"large":                  {`{"a":"b"` + strings.Repeat(" ", MaxHeadersBytes) + `}`, "at most 131072"},
		"deep":                   {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "must be a map"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var group HTTPRouteGroup
			object := `{"spec":{"matches":[{"name":"x","headers":` + test.text + `},{"name":"y"}]}}`
			if err := json.Unmarshal([]byte(object), &group); err != nil {
				t.Fatalf("one bad match makes the whole object unreadable: %v", err)
			}
			h := group.Spec.Matches[0].Headers
			if err := h.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want %q", err, test.want)
			}
			entries := h.Entries()
			if len(entries) != 1 {
				t.Fatalf("got %v, want one condition that cannot hold", entries)
			}
			if _, err := regexp.Compile(entries[0].Value); err == nil {
				t.Errorf("%q compiles, so the match could grant something", entries[0].Value)
			}
			if back, err := h.MarshalJSON(); err != nil || string(back) != test.text {
				t.Errorf("the text was not kept: %v", err)
			}
		})
	}
}

func TestNewHTTPHeaders(t *testing.T) {
	t.Parallel()
	in := []HTTPHeader{{"z", "<1>"}, {"a", `"`}, {"z", ""}}
	h := NewHTTPHeaders(in...)
	if diff := cmp.Diff(in, h.Entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if h.Raw[0] != '[' {
		t.Errorf("got %s, want a list", h.Raw)
	}
	if h := NewHTTPHeaders(); !h.IsZero() {
		t.Errorf("got %s for no condition", h.Raw)
	}
}

// TestHeadersInAnObject: absent stays absent, empty stays empty, also on the way
// through unstructured objects and copies.
func TestHeadersInAnObject(t *testing.T) {
	t.Parallel()
	for _, headers := range []string{``, `,"headers":{}`, `,"headers":[]`, `,"headers":{"a":"b"}`, `,"headers":[{"a":"b"}]`} {
		t.Run(headers, func(t *testing.T) {
			t.Parallel()
			text := fmt.Sprintf(`{"spec":{"matches":[{"name":"x"%s}]}}`, headers)
			var group HTTPRouteGroup
			if err := json.Unmarshal([]byte(text), &group); err != nil {
				t.Fatal(err)
			}
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&group)
			if err != nil {
				t.Fatal(err)
			}
			var fromUnstructured HTTPRouteGroup
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &fromUnstructured); err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]any{"object": &group, "copy": group.DeepCopy(), "unstructured": &fromUnstructured} {
				back, err := json.Marshal(value)
				if err != nil || string(back) != text {
					t.Errorf("%s came back as %s, %v", name, back, err)
				}
			}
			if !equality.Semantic.DeepEqual(&group, &fromUnstructured) || !equality.Semantic.DeepEqual(&group, group.DeepCopy()) {
				t.Errorf("the copies differ: %v", fromUnstructured)
			}
		})
	}
}

func TestCopiesShareNothing(t *testing.T) {
	t.Parallel()
	text := []byte(`{"a":"b"}`)
	var h HTTPHeaders
	if err := h.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	text[2] = 'x'
	h.DeepCopy().Raw[2] = 'y'
	if got := h.Entries()[0].Name; got != "a" {
		t.Errorf("the name became %q", got)
	}
}

func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `[{"a":"b"},{"a":"c"}]`, `5`, `[[`, `{"a":"b"}{"c":"d"}`, `[{"a":"b"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h := HTTPHeaders{Raw: text}
		entries := h.Entries()
		if len(entries) > MaxHeaders {
			t.Fatalf("got %d entries", len(entries))
		}
		if h.Validate() != nil {
			return
		}
		if len(entries) > 0 && !cmp.Equal(entries, NewHTTPHeaders(entries...).Entries()) {
			t.Fatalf("%q changes when it is written as a list", text)
		}
	})
}
