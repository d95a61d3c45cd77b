package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// maxSize bounds a report that is read. A thousand cases take a few MB.
const maxSize = 64 << 20

// JSON returns the report as indented JSON that ends with a line break.
func (r *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

// YAML returns the report as YAML.
func (r *Report) YAML() ([]byte, error) { return yaml.Marshal(r) }

// Parse reads a report from JSON or YAML. It refuses another version or kind,
// fields that this version does not know, counts that are not those of the
// results, and results that contradict their evidence or the claim, so that nobody
// shows what a report does not hold.
func Parse(text []byte) (*Report, error) {
	if len(text) > maxSize {
		return nil, fmt.Errorf("a report has at most %d MB, and this one has more", maxSize>>20)
	}
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 {
		return nil, errors.New("the report is empty")
	} else if trimmed[0] != '{' {
		converted, err := yaml.YAMLToJSONStrict(text)
		if err != nil {
			return nil, fmt.Errorf("this is no report: %w", err)
		}
		text = converted
	}
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &head); err != nil {
		return nil, fmt.Errorf("this is no report: %w", err)
	}
	if head.Kind != Kind {
		return nil, fmt.Errorf("kind is %q, and a report's is %q", head.Kind, Kind)
	}
	if head.APIVersion != APIVersion {
		return nil, fmt.Errorf("apiVersion is %q, and this program reads %q: use the version of smi that wrote the report", head.APIVersion, APIVersion)
	}
	r := new(Report)
	strict, err := kjson.UnmarshalStrict(text, r)
	if err != nil {
		return nil, fmt.Errorf("this is no report: %w", err)
	}
	if len(strict) > 0 {
		return nil, fmt.Errorf("the report has what %s does not: %w", APIVersion, strict[0])
	}
	return r, r.validate()
}

// Complete tells whether every case of the suite has a result, by the report's own
// word of how many there are. Who knows the suite holds Suite against it.
func (r *Report) Complete() bool { return len(r.Results) == r.Suite.Cases }

// String is the counts in words.
func (s Summary) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d not claimed", s.Passed, s.Failed, s.NotClaimed)
}
