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

const checkLong = `Check reads manifests, or a cluster, and says what in them is wrong, has no
effect, or probably means something else than its author thinks.

With -f it reads files and needs no cluster. Without, it reads the cluster that
kubectl would, all of it, and tells what it finds in one namespace; with -A, in
all.

Every finding names the object, the rule, and what to do. Errors are parts that
have no effect; warnings are what was probably not meant.

Exit codes: 0 there is no error; 1 there is one, or with --strict a warning;
2 the arguments make no sense, or a path or the cluster cannot be read.`

const checkExample = `  # The namespace of kubectl's context; one by its name; all of another context
  smi check
  smi check -n shop
  smi check -A --context staging

  # A folder, with all folders below it
  smi check -f manifests/

  # What a tool writes
  helm template ./chart | smi check -f -

  # In a pipeline: warnings fail too
  smi check --strict -f manifests/ -o json`

func checkCommand(app *App) *cobra.Command {
	var (
		f      inputFlags
		strict bool
	)
	format := formatTable
	cmd := &cobra.Command{
		Use:     "check [-f PATH... | -n NAMESPACE | -A]",
		Short:   "Say what is wrong with manifests, or in a cluster",
		Long:    checkLong,
		Example: checkExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.paths = append(f.paths, args...)
			in, err := app.load(cmd, &f)
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
	f.register(cmd)
	f.registerEverywhere(cmd)
	addFormatFlag(cmd, &format)
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings too")
	return cmd
}

// checkResult is what smi check answers.
type checkResult struct {
	OK bool `json:"ok"`
	// Objects is how many were checked, the pods of a file's workload counted as one.
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
	r := &checkResult{Objects: in.count(), Findings: []checkFinding{}}
	if in.files != nil {
		for _, f := range in.files.Findings {
			r.add(placed(f))
		}
	}
	owners := in.owners()
	seen := map[mesh.Finding]bool{}
	for _, f := range in.mesh.Findings {
		// The pods of one workload are written once and wrong alike.
		if owner, owned := owners[f.Object]; owned {
			f.Object = owner
		}
		if seen[f] || !in.about(f.Object) {
			continue
		}
		seen[f] = true
		found := checkFinding{Finding: f}
		if in.files != nil {
			at, _ := in.files.Where(f.Object)
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

// owners are the workloads of the pods that belong to one.
func (in *input) owners() map[mesh.ObjectRef]mesh.ObjectRef {
	if in.cluster != nil {
		return in.cluster.owners()
	}
	owners := map[mesh.ObjectRef]mesh.ObjectRef{}
	for _, w := range in.files.Workloads {
		for _, pod := range w.Pods {
			owners[mesh.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}] = mesh.ObjectRef{Kind: w.Kind, Namespace: w.Name.Namespace, Name: w.Name.Name}
		}
	}
	return owners
}

// count is how many objects are asked about; the pods of a file's workload are one.
func (in *input) count() int {
	if in.cluster == nil {
		return len(in.files.Objects) + len(in.files.Workloads) - len(in.owners())
	}
	n := 0
	for _, o := range in.cluster.objects {
		if in.cluster.namespace == "" || o.GetNamespace() == in.cluster.namespace {
			n++
		}
	}
	return n
}
