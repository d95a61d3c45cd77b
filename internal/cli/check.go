package cli

import (
	"cmp"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
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
			switch {
			case err != nil:
				return err
			case result.unreadable():
				return errors.New("not everything could be read")
			case !result.OK:
				return ErrNo
			default:
				return nil
			}
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

// kindFile is the kind of findings about a file as a whole.
const kindFile = "File"

func checked(in *input, strict bool) *checkResult {
	owners := podOwners(in.files)
	r := &checkResult{Objects: len(in.files.Objects) + len(in.files.Workloads) - len(owners), Findings: []checkFinding{}}
	for _, f := range in.files.Findings {
		r.add(placed(f))
	}
	seen := map[mesh.Finding]bool{}
	for _, f := range in.mesh.Findings {
		// The pods of one workload are written once and wrong alike.
		if owner, owned := owners[f.Object]; owned {
			f.Object = owner
		}
		if seen[f] {
			continue
		}
		seen[f] = true
		at, _ := in.files.Where(f.Object)
		r.add(checkFinding{Finding: f, File: at.File, Line: at.Line})
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

// placePrefix is what messages about files begin with: the file and, where it
// is known, the line.
var placePrefix = regexp.MustCompile(`^(.+?)(?::([0-9]+))?: `)

// placed takes the place off the message of a finding about a file.
func placed(f mesh.Finding) checkFinding {
	found := checkFinding{Finding: f}
	parts := placePrefix.FindStringSubmatch(f.Message)
	if parts == nil {
		return found
	}
	found.Message = f.Message[len(parts[0]):]
	found.File = parts[1]
	found.Line, _ = strconv.Atoi(parts[2]) // none is 0, which means that
	return found
}

func (f checkFinding) position() file.Position { return file.Position{File: f.File, Line: f.Line} }

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

// unreadable tells whether some file or folder could not be opened, so that
// nobody knows what is wrong with it.
func (r *checkResult) unreadable() bool {
	return slices.ContainsFunc(r.Findings, func(f checkFinding) bool { return f.Object.Kind == kindFile && f.Reason == "Unreadable" })
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
