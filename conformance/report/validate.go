package report

import (
	"errors"
	"fmt"
	"slices"
)

// maxSeconds bounds how long a run, or a case, may have taken: a week.
const maxSeconds = 7 * 24 * 3600

// validate finds what contradicts itself.
func (r *Report) validate() error {
	if r.Mesh.Name == "" || r.Started.IsZero() {
		return errors.New("the report does not say which mesh was tested, or when")
	}
	if !lasts(r.Duration) {
		return fmt.Errorf("the run is said to have taken %g seconds, and takes from none to a week", r.Duration)
	}
	features, claims, err := r.claims()
	if err != nil {
		return err
	}
	var total Summary
	seen := map[string]bool{}
	for i := range r.Results {
		result := &r.Results[i]
		if result.ID == "" || seen[result.ID] {
			return fmt.Errorf("case %q has no id, or is there twice", result.ID)
		}
		seen[result.ID] = true
		if err := result.validate(claims); err != nil {
			return fmt.Errorf("case %s: %w", result.ID, err)
		}
		total.Add(result.Outcome)
		for _, name := range result.Features {
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

// claims returns, by the names of features, counts of nothing yet and what is
// claimed.
func (r *Report) claims() (map[string]*Summary, map[string]Capability, error) {
	features, claims := map[string]*Summary{}, map[string]Capability{}
	for _, f := range r.Features {
		switch f.Capability {
		case Full, Partial, None:
		default:
			return nil, nil, fmt.Errorf("feature %q: capability is %q, and can be full, partial or none", f.Name, f.Capability)
		}
		if features[f.Name] != nil {
			return nil, nil, fmt.Errorf("feature %q is there twice", f.Name)
		}
		features[f.Name], claims[f.Name] = new(Summary), f.Capability
	}
	return features, claims, nil
}

// validate finds what no run of a case leaves behind.
func (r *Result) validate(claims map[string]Capability) error {
	if !lasts(r.Duration) {
		return fmt.Errorf("it is said to have taken %g seconds, and takes from none to a week", r.Duration)
	}
	for i, name := range r.Features {
		capability, listed := claims[name]
		switch {
		case !listed:
			return fmt.Errorf("the report does not list its feature %q", name)
		case slices.Contains(r.Features[:i], name):
			return fmt.Errorf("it has the feature %q twice", name)
		case capability == None && r.Outcome != NotClaimed:
			return fmt.Errorf("outcome is %q, and the mesh claims nothing of its feature %s", r.Outcome, name)
		}
	}
	for _, e := range r.Evidence {
		if err := e.validate(); err != nil {
			return err
		}
	}
	wrong := slices.ContainsFunc(r.Evidence, func(e Evidence) bool { return !e.Held })
	switch r.Outcome {
	case Passed:
		if len(r.Evidence) == 0 {
			return errors.New("it passed, and has no evidence")
		}
		if wrong {
			return errors.New("it passed, and its evidence says that something did not hold")
		}
	case Failed:
		if r.Reason == "" {
			return errors.New("it failed, and no reason is given")
		}
	case NotClaimed:
		if r.Reason == "" {
			return errors.New("it was not run, and no reason is given")
		}
		if len(r.Evidence) > 0 {
			return errors.New("it was not run, and has evidence")
		}
	default:
		return fmt.Errorf("outcome is %q, and can be passed, failed or notClaimed", r.Outcome)
	}
	return nil
}

func (e *Evidence) validate() error {
	switch {
	case e.Sent < 0:
		return fmt.Errorf("%.60q was sent %d times", e.What, e.Sent)
	case e.Controls < 0:
		return fmt.Errorf("%.60q has %d controls", e.What, e.Controls)
	case !lasts(e.Elapsed):
		return fmt.Errorf("%.60q is said to have waited for %g seconds, and may from none to a week", e.What, e.Elapsed)
	}
	for answer, n := range e.Answers {
		if n < 1 {
			return fmt.Errorf("%.60q was answered %d times by %.60q", e.What, n, answer)
		}
	}
	return nil
}

// lasts tells whether so many seconds can have passed.
func lasts(seconds float64) bool { return seconds >= 0 && seconds <= maxSeconds }
