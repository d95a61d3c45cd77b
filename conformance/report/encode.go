package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

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
// fields that this version does not know, and counts that are not those of the
// results, so that nobody shows what a report does not hold.
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
	if err := json.Unmarshal(text, &head); err != nil {
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

// validate finds what contradicts itself.
func (r *Report) validate() error {
	if r.Mesh.Name == "" || r.Started.IsZero() {
		return errors.New("the report does not say which mesh was tested, or when")
	}
	var total Summary
	features := map[string]*Summary{}
	for _, f := range r.Features {
		switch f.Capability {
		case Full, Partial, None:
		default:
			return fmt.Errorf("feature %q: capability is %q, and can be full, partial or none", f.Name, f.Capability)
		}
		if features[f.Name] != nil {
			return fmt.Errorf("feature %q is there twice", f.Name)
		}
		features[f.Name] = new(Summary)
	}
	seen := map[string]bool{}
	for _, result := range r.Results {
		switch {
		case result.ID == "" || seen[result.ID]:
			return fmt.Errorf("case %q has no id, or is there twice", result.ID)
		case !slices.Contains([]Outcome{Passed, Failed, NotClaimed}, result.Outcome):
			return fmt.Errorf("case %s: outcome is %q, and can be passed, failed or notClaimed", result.ID, result.Outcome)
		}
		seen[result.ID] = true
		total.Add(result.Outcome)
		for _, name := range result.Features {
			if features[name] == nil {
				return fmt.Errorf("case %s: the report does not list its feature %q", result.ID, name)
			}
			features[name].Add(result.Outcome)
		}
	}
	if r.Summary != total {
		return fmt.Errorf("the summary (%s) is not that of the results (%s)", r.Summary, total)
	}
	for _, f := range r.Features {
		if f.Summary != *features[f.Name] {
			return fmt.Errorf("feature %s: the counts (%s) are not those of the results (%s)", f.Name, f.Summary, *features[f.Name])
		}
	}
	if len(r.Results) > r.Suite.Cases {
		return fmt.Errorf("the report has %d results of a suite of %d cases", len(r.Results), r.Suite.Cases)
	}
	return nil
}

// Complete tells whether every case of the suite has a result.
func (r *Report) Complete() bool { return len(r.Results) == r.Suite.Cases }

// String is the counts in words.
func (s Summary) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d not claimed", s.Passed, s.Failed, s.NotClaimed)
}
