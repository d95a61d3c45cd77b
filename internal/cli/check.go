package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/mesh"
)

const checkLong = `Check reads manifests and says what in them is wrong, has no effect, or probably
means something else than its author thinks. It needs no cluster.

Every finding names the object, the rule, and what to do. Errors are parts that
have no effect; warnings are what was probably not meant.

Exit codes: 0 there is no error; 1 there is one, or with --strict a warning;
2 the arguments make no sense, or a path cannot be read.`

const checkExample = `  # A folder, with all folders below it
  smi check -f manifests/

  # What a tool writes
  helm template ./chart | smi check -f -

  # In a pipeline: warnings fail too
  smi check --strict -f manifests/ -o json`

func checkCommand(app *App) *cobra.Command {
	var (
		paths  []string
		strict bool
	)
	format := formatTable
	cmd := &cobra.Command{
		Use:     "check -f PATH...",
		Short:   "Say what is wrong with manifests",
		Long:    checkLong,
		Example: checkExample,
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := app.load(append(paths, args...))
			if err != nil {
				return err
			}
			result := checked(in, strict)
			if format == formatTable {
				_, err = io.WriteString(app.Out, result.text(app))
			} else {
				err = app.printObject(format, result)
			}
			if err == nil && !result.OK {
				err = ErrNo
			}
			return err
		},
	}
	addPathFlag(cmd, &paths)
	addFormatFlag(cmd, &format)
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings too")
	return cmd
}

// checkResult is what smi check answers.
type checkResult struct {
	OK bool `json:"ok"`
	// Objects is how many were read, the pods of a workload counted as one.
	Objects  int            `json:"objects"`
	Errors   int            `json:"errors"`
	Warnings int            `json:"warnings"`
	Infos    int            `json:"infos"`
	Findings []checkFinding `json:"findings"`
}

// checkFinding is a finding with its place.
type checkFinding struct {
	mesh.Finding
	// File and Line tell where the object was written, where that is known.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

func checked(in *input, strict bool) *checkResult {
	owners := podOwners(in.files)
	r := &checkResult{Objects: len(in.files.Objects) + len(in.files.Workloads) - len(owners), Findings: []checkFinding{}}
	seen := map[mesh.Finding]bool{}
	for _, f := range slices.Concat(in.files.Findings, in.mesh.Findings) {
		// The pods of one workload are written once and wrong alike.
		if owner, owned := owners[f.Object]; owned {
			f.Object = owner
		}
		if seen[f] {
			continue
		}
		seen[f] = true
		found := checkFinding{Finding: f}
		if at, known := in.files.Where(f.Object); known {
			found.File, found.Line = at.File, at.Line
		}
		r.add(found)
	}
	r.OK = r.Errors == 0 && (!strict || r.Warnings == 0)
	slices.SortStableFunc(r.Findings, func(a, b checkFinding) int {
		return cmp.Or(
			strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Object.String(), b.Object.String()),
			cmp.Compare(severityRank(b.Severity), severityRank(a.Severity)),
		)
	})
	return r
}

func (r *checkResult) add(f checkFinding) {
	r.Findings = append(r.Findings, f)
	switch f.Severity {
	case mesh.Error:
		r.Errors++
	case mesh.Warning:
		r.Warnings++
	case mesh.Info:
		r.Infos++
	}
}

// podOwners returns the workloads of the pods that were made of them.
func podOwners(files *file.Result) map[mesh.ObjectRef]mesh.ObjectRef {
	owners := map[mesh.ObjectRef]mesh.ObjectRef{}
	for _, w := range files.Workloads {
		for _, pod := range w.Pods {
			owners[mesh.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}] = mesh.ObjectRef{Kind: w.Kind, Namespace: w.Name.Namespace, Name: w.Name.Name}
		}
	}
	return owners
}

// text groups the findings by object.
func (r *checkResult) text(app *App) string {
	var b strings.Builder
	var last mesh.ObjectRef
	for i, f := range r.Findings {
		if i == 0 || f.Object != last {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(app.paint(bold, printable(f.title())) + "\n")
			last = f.Object
		}
		fmt.Fprintf(&b, "  %s", app.severity(f.Severity))
		if f.Rule != "" {
			fmt.Fprintf(&b, " %s", f.Rule)
		}
		if f.Field != "" {
			fmt.Fprintf(&b, " %s", printable(f.Field))
		}
		fmt.Fprintf(&b, ": %s\n", printable(f.Message))
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s: %s\n", count(r.Objects, "object"), r.summary())
	return b.String()
}

// title names an object and where it was written.
func (f checkFinding) title() string {
	if f.Object == (mesh.ObjectRef{}) {
		return "Input"
	}
	if f.File == "" {
		return f.Object.String()
	}
	return fmt.Sprintf("%s (%s)", f.Object, file.Position{File: f.File, Line: f.Line})
}

func (r *checkResult) summary() string {
	if len(r.Findings) == 0 {
		return "nothing is wrong"
	}
	var parts []string
	for _, c := range []struct {
		n    int
		noun string
	}{{r.Errors, "error"}, {r.Warnings, "warning"}, {r.Infos, "remark"}} {
		if c.n > 0 {
			parts = append(parts, count(c.n, c.noun))
		}
	}
	return strings.Join(parts, ", ")
}

// severityRank orders severities from good to bad.
func severityRank(s mesh.Severity) int {
	return slices.Index([]mesh.Severity{mesh.Info, mesh.Warning, mesh.Error}, s)
}

// severity writes a severity in its colour.
func (a *App) severity(s mesh.Severity) string {
	switch s {
	case mesh.Error:
		return a.paint(red, string(s))
	case mesh.Warning:
		return a.paint(yellow, string(s))
	default:
		return string(s)
	}
}
