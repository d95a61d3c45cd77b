package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/conformance"
	"github.com/smi-project/smi/conformance/cases"
)

const conformanceLong = `Prove whether a mesh does what SMI means: run cases with real traffic, one or
more for each rule, and report what was sent, what should come and what came.
Reports are signed, verified and compared.

The suite runs on the standalone mesh of this machine (Linux), on the mesh of a
cluster by a profile, and from Go on any mesh that somebody has written a target
for; see docs/conformance.md.

Exit codes:
  0  done, and everything holds
  1  a case failed, or a report does not verify
  2  the arguments make no sense, or something cannot be read or run`

func conformanceCommand(app *App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conformance",
		Short: "Prove what a mesh does of SMI, sign the report, compare meshes",
		Long:  conformanceLong,
		Example: `  # Which cases are there?
  smi conformance list

  # Does the mesh of this machine hold all of them? (Linux)
  smi conformance run`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(conformanceList(app), conformanceKeygen(app), conformanceSign(app), conformanceVerify(app), conformanceMatrix(app))
	cmd.AddCommand(conformanceRunners(app)...)
	return cmd
}

// caseChoice says which cases of the suite are meant: those that fit every kind
// of flag that is given, and of one kind any.
type caseChoice struct {
	pattern         string
	rules, features []string
}

func (c *caseChoice) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.pattern, "select", "", "`REGEX` that a case's id has to match")
	flags.StringArrayVar(&c.rules, "rule", nil, "`RULE` that a case proves, such as AC-9; may be repeated")
	flags.StringArrayVar(&c.features, "feature", nil, "`FEATURE` that a case belongs to; may be repeated")
	complete(cmd, "select", func() (ids []string) {
		for _, k := range cases.Suite().Cases {
			ids = append(ids, k.ID)
		}
		return ids
	})
	complete(cmd, "rule", func() (rules []string) {
		for _, k := range cases.Suite().Cases {
			rules = append(rules, k.Rules...)
		}
		slices.Sort(rules)
		return slices.Compact(rules)
	})
	complete(cmd, "feature", featureNames)
}

func featureNames() (names []string) {
	for _, f := range conformance.Features {
		names = append(names, f.Name)
	}
	return names
}

// complete lets a shell complete a flag by words that begin alike.
func complete(cmd *cobra.Command, flag string, words func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		fit := slices.DeleteFunc(words(), func(word string) bool { return !strings.HasPrefix(word, begun) })
		return fit, cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag was added by the caller
	}
}

// of returns the chosen cases, of which there is one at least.
func (c *caseChoice) of(suite *conformance.Suite) ([]*conformance.Case, error) {
	pattern, err := regexp.Compile(c.pattern)
	if err != nil {
		return nil, UsageErrorf("--select: %w", err)
	}
	for _, name := range c.features {
		if !slices.Contains(featureNames(), name) {
			return nil, UsageErrorf("--feature %s: there is none of that name, but %s", name, strings.Join(featureNames(), ", "))
		}
	}
	var chosen []*conformance.Case
	for _, k := range suite.Cases {
		byRule := len(c.rules) == 0 || slices.ContainsFunc(k.Rules, func(rule string) bool { return slices.Contains(c.rules, rule) })
		byFeature := len(c.features) == 0 || slices.ContainsFunc(k.Features, func(f conformance.Feature) bool { return slices.Contains(c.features, f.Name) })
		if byRule && byFeature && pattern.MatchString(k.ID) {
			chosen = append(chosen, k)
		}
	}
	if len(chosen) == 0 {
		return nil, UsageErrorf("no case fits --select, --rule and --feature; 'smi conformance list' has all of them")
	}
	return chosen, nil
}

func conformanceList(app *App) *cobra.Command {
	var choice caseChoice
	format := formatTable
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the cases, with their rules and features",
		Long: `List the cases of the suite: what each proves, and which features a mesh has to
claim for it to be run.

Exit codes: 0 there are some; 2 the arguments make no sense, or nothing fits.`,
		Example: `  smi conformance list

  # What proves this rule?
  smi conformance list --rule AC-9

  # For programs
  smi conformance list --feature split-http -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			chosen, err := choice.of(cases.Suite())
			if err != nil {
				return err
			}
			return app.listCases(format, chosen)
		},
	}
	choice.register(cmd)
	addFormatFlag(cmd, &format)
	return cmd
}

// listedCase is a case as smi conformance list prints it.
type listedCase struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Rules    []string `json:"rules"`
	Features []string `json:"features"`
	APIs     []string `json:"apis,omitempty"`
	// Needs is what not every target can do.
	Needs    []conformance.Ability `json:"needs,omitempty"`
	Original string                `json:"original,omitempty"`
}

func (a *App) listCases(f format, chosen []*conformance.Case) error {
	rows := table{{{text: "CASE"}, {text: "RULES"}, {text: "FEATURES"}, {text: "WHAT HOLDS"}}}
	listed := make([]listedCase, len(chosen))
	for i, k := range chosen {
		listed[i] = listedCase{ID: k.ID, Title: k.Title, Rules: k.Rules, APIs: k.APIs, Needs: k.Needs, Original: k.Original}
		for _, feature := range k.Features {
			listed[i].Features = append(listed[i].Features, feature.Name)
		}
		rows = append(rows, row{{text: k.ID, colour: bold}, {text: strings.Join(k.Rules, " ")}, {text: strings.Join(listed[i].Features, " ")}, {text: k.Title}})
	}
	if f != formatTable {
		return a.printObject(f, listed)
	}
	_, err := a.Out.Write([]byte(rows.render(a, "")))
	return err
}
