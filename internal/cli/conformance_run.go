package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/cases"
	"github.com/smi-project/smi/conformance/cluster"
	"github.com/smi-project/smi/conformance/page"
	"github.com/smi-project/smi/conformance/provenance"
	"github.com/smi-project/smi/conformance/report"
	"github.com/smi-project/smi/conformance/standalone"
	"github.com/smi-project/smi/internal/kube"
)

// conformanceRunFlags are the flags of smi conformance run.
type conformanceRunFlags struct {
	choice   caseChoice
	claim    string
	profile  string
	cluster  kube.Connection
	image    string
	forge    bool
	envoy    string
	sample   string
	format   format
	report   string
	sign     []string
	by       string
	failFast bool
	repeat   int
	verbose  bool
}

const conformanceRunLong = `Run the suite and tell how each case ended: on a standalone mesh of this machine
(Linux), with real Envoys, or with --profile on a cluster that has a mesh. What
the mesh does not claim is not run; what it claims and does not do is a failure.

On a cluster the suite makes the namespaces smi-apps, smi-other and smi-outside,
and removes them in the end. It needs the image of the sample service there.
With --forge it reads the key of the mesh's authority, and tries certificates of
that which must be refused: it is for clusters where that key guards nothing.

--report DIR writes report.json, report.yaml, junit.xml and index.html, and with
--sign KEY the envelope report.dsse.json that says who ran it. With --repeat,
each run has a folder of its own in DIR.

Exit codes: 0 no case failed; 1 one did; 2 the arguments make no sense, or the
mesh cannot be run.`

func conformanceRunners(app *App) []*cobra.Command {
	f := conformanceRunFlags{format: formatTable}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the suite on a mesh",
		Long:  conformanceRunLong,
		Example: `  smi conformance run

  # Some cases
  smi conformance run --rule AC-9 --rule AC-12
  smi conformance run --feature split-http --select weights --fail-fast

  # The mesh of the cluster that kubectl speaks with
  smi conformance run --profile smi --image registry.example/smi-sample:v1

  # Does any case fail now and then?
  smi conformance run --repeat 50 --report out

  # A signed report, to be published
  smi conformance run --report out --sign conformance.key --by Example`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return app.conformanceRun(cmd.Context(), &f) },
	}
	f.choice.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.claim, "claim", "", "`FILE` with what the mesh is to be held to, in place of all that it claims")
	flags.StringVar(&f.profile, "profile", "", "run on a cluster with the mesh of this profile: a `NAME` ("+strings.Join(cluster.Profiles(), ", ")+") or a file")
	addConnectionFlags(cmd, &f.cluster)
	flags.StringVar(&f.image, "image", "smi-sample:latest", "the sample service's `IMAGE` on the cluster")
	flags.BoolVar(&f.forge, "forge", false, "on a cluster, sign certificates with the key of the mesh's own authority, to see them refused")
	flags.StringVar(&f.envoy, "envoy", "", "path of Envoy; $ENVOY, the PATH and the tool cache are tried otherwise")
	flags.StringVar(&f.sample, "sample", "", "path of smi-sample, the workloads' program (default beside this program, or on the PATH)")
	flags.StringVar(&f.report, "report", "", "`DIR` to write the reports to")
	flags.StringArrayVar(&f.sign, "sign", nil, "`FILE` with a private key that signs the report; may be repeated")
	flags.StringVar(&f.by, "by", "", "`NAME` of who runs the suite, for the signed statement")
	flags.BoolVar(&f.failFast, "fail-fast", false, "end with the first case that fails")
	flags.IntVar(&f.repeat, "repeat", 1, "run the suite `N` times, each time on a mesh of its own, and tell what did not hold every time")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print what the mesh prints, too")
	addFormatFlag(cmd, &f.format)
	_ = cmd.MarkFlagDirname("report")
	return []*cobra.Command{cmd}
}

func (a *App) conformanceRun(ctx context.Context, f *conformanceRunFlags) error {
	suite := cases.Suite()
	chosen, err := f.choice.of(suite)
	if err != nil {
		return err
	}
	if err := f.checkRepeat(); err != nil {
		return err
	}
	keys, err := f.keys()
	if err != nil {
		return err
	}
	claim, err := f.readClaim(suite)
	if err != nil {
		return err
	}
	if f.report != "" {
		if err := tryFolder(f.report); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if err := a.warnUnverified(f); err != nil {
		return err
	}
	out := &progress{app: a, to: a.Out, of: len(chosen)}
	if f.format != formatTable {
		out.to = a.Err
	}
	options := conformance.Options{
		FailFast: f.failFast, Progress: out.ended,
		Select: func(c *conformance.Case) bool { return slices.Contains(chosen, c) },
	}
	if f.repeat > 1 {
		return a.repeatSuite(ctx, f, claim, options, keys)
	}
	found, err := a.runSuite(ctx, f, claim, options)
	return a.afterRun(f, out.to, ran{found, err}, keys)
}

// ran is how a run ended. There may be both a report and an error: a mesh that does
// not end well has been tested.
type ran struct {
	found *report.Report
	err   error
}

// afterRun writes the report, where there is one, whatever else went wrong.
func (a *App) afterRun(f *conformanceRunFlags, to io.Writer, r ran, keys []*provenance.PrivateKey) error {
	if r.found == nil {
		return r.err
	}
	told := a.tellRun(f, to, r.found, keys)
	switch {
	case r.err == nil:
		return told
	case errors.Is(told, ErrNo):
		return r.err // ErrNo would keep it from being printed
	default:
		return errors.Join(r.err, told)
	}
}

// tellRun writes what was found, and tells it in the end on a stream.
func (a *App) tellRun(f *conformanceRunFlags, to io.Writer, found *report.Report, keys []*provenance.PrivateKey) error {
	if f.report != "" {
		if err := writeReports(f.report, found, f.by, keys); err != nil {
			return err
		}
	}
	if f.format != formatTable {
		if err := a.printReportObject(f.format, found); err != nil {
			return err
		}
	}
	if f.report != "" {
		fmt.Fprintf(to, "reports in %s\n", printable(f.report))
	}
	fmt.Fprintf(to, "conformance: %s, %s\n", count(len(found.Results), "case"), found.Summary)
	if found.Summary.Failed > 0 {
		return ErrNo
	}
	return nil
}

// keys reads what signs, before anything is run for nothing.
func (f *conformanceRunFlags) keys() ([]*provenance.PrivateKey, error) {
	switch {
	case len(f.sign) == 0 && f.by != "":
		return nil, UsageErrorf("--by names who signs, and --sign is missing")
	case len(f.sign) == 0:
		return nil, nil
	case f.report == "":
		return nil, UsageErrorf("--sign signs the report, and --report is missing")
	case strings.TrimSpace(f.by) == "":
		return nil, UsageErrorf("--sign takes --by, the name of who runs the suite")
	}
	return readKeys(f.sign, provenance.ParsePrivateKey)
}

// readClaim reads what the mesh is held to.
func (f *conformanceRunFlags) readClaim(suite *conformance.Suite) (*conformance.Claim, error) {
	if f.claim == "" {
		return f.ownClaim(suite)
	}
	text, err := os.ReadFile(f.claim)
	if err != nil {
		return nil, err
	}
	claim := new(conformance.Claim)
	if err := yaml.UnmarshalStrict(text, claim); err != nil {
		return nil, fmt.Errorf("--claim %s: %w", f.claim, err)
	}
	if err := claim.Validate(suite); err != nil {
		return nil, fmt.Errorf("--claim %s: %w", f.claim, err)
	}
	return claim, nil
}

// ownClaim is what the mesh itself says that it does.
func (f *conformanceRunFlags) ownClaim(suite *conformance.Suite) (*conformance.Claim, error) {
	if f.profile == "" {
		return standalone.Claim(), nil
	}
	p, err := readProfile(f.profile)
	if err != nil {
		return nil, err
	}
	if err := p.Claim.Validate(suite); err != nil {
		return nil, fmt.Errorf("--profile %s: %w", f.profile, err)
	}
	return &p.Claim, nil
}

// warnUnverified says before a run what is to be thought of its failures.
func (a *App) warnUnverified(f *conformanceRunFlags) error {
	if f.profile == "" {
		return nil
	}
	p, err := readProfile(f.profile)
	if err == nil && p.Verified == "" {
		fmt.Fprintf(a.Err, "the profile of %s is unverified: it was never tried on a real one, and a failure may be the profile's\n", printable(p.Name))
	}
	return err
}

// runSuite runs the suite on the mesh that the flags name.
func (a *App) runSuite(ctx context.Context, f *conformanceRunFlags, claim *conformance.Claim, options conformance.Options) (found *report.Report, err error) {
	target, err := a.target(ctx, f)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closing := target.Close(context.WithoutCancel(ctx)); closing != nil {
			err = errors.Join(err, fmt.Errorf("the mesh does not end well: %w", closing))
		}
	}()
	found, err = conformance.Run(ctx, target, cases.Suite(), claim, options)
	if ctx.Err() != nil {
		return nil, errors.New("the run was ended before it was done, and nothing is reported")
	}
	return found, err
}

// target is the mesh that the flags name: one on a cluster where there is a
// profile, else a standalone one of this machine.
func (a *App) target(ctx context.Context, f *conformanceRunFlags) (conformance.Target, error) {
	if f.profile == "" {
		return a.standaloneTarget(ctx, f)
	}
	profile, err := readProfile(f.profile)
	if err != nil {
		return nil, err
	}
	reached, err := f.cluster.Cluster()
	if err != nil {
		return nil, err
	}
	return cluster.New(ctx, cluster.Options{Config: reached.Config, Platform: reached.Name(), Profile: profile, Image: f.image, Forge: f.forge})
}

// readProfile reads a profile of this program, or a file.
func readProfile(name string) (*cluster.Profile, error) {
	if slices.Contains(cluster.Profiles(), name) {
		return cluster.LoadProfile(name)
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, UsageErrorf("--profile %s: there is no such file, and the profiles of this program are %s", name, strings.Join(cluster.Profiles(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	p, err := cluster.ParseProfile(text)
	if err != nil {
		return nil, fmt.Errorf("--profile %s: %w", name, err)
	}
	return p, nil
}

// meshVersion names this build: its commit too, where there is no release.
func meshVersion() string {
	info := readBuildInfo()
	if version != "" || info.Commit == "" {
		return info.Version
	}
	return fmt.Sprintf("%s %.12s%s", info.Version, info.Commit, modifiedMark(info.Modified))
}

// progress prints a line for each case that has ended.
type progress struct {
	app   *App
	to    io.Writer
	of    int
	count int
}

func (p *progress) ended(r report.Result) {
	p.count++
	word, shade := "passed", green
	switch r.Outcome {
	case report.Failed:
		word, shade = "FAILED", red
	case report.NotClaimed:
		word, shade = "not claimed", yellow
	}
	word = fmt.Sprintf("%-11s", word)
	if p.to == p.app.Out {
		word = p.app.paint(shade, word)
	}
	took := page.Seconds(r.Duration)
	if r.Outcome == report.NotClaimed {
		took = r.Reason
	}
	fmt.Fprintf(p.to, "%*d/%d  %s  %s: %s (%s)\n", len(fmt.Sprint(p.of)), p.count, p.of, word, r.ID, printable(r.Title), printable(took))
	if r.Outcome != report.Failed {
		return
	}
	for line := range strings.Lines(r.Reason) {
		fmt.Fprintf(p.to, "      %s\n", printable(strings.TrimRight(line, "\n")))
	}
}
