package docs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/smi-project/smi/internal/cli"
)

const root = ".."

// files are those of the repository with one of the extensions, by their path
// from its root, with their content.
func files(t *testing.T, extensions ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (strings.HasPrefix(name, ".") && path != root || name == "testdata" || name == "bin" || name == "dist") {
			return fs.SkipDir
		}
		if !slices.Contains(extensions, filepath.Ext(name)) {
			return nil
		}
		content, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, root+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var (
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence    = regexp.MustCompile("(?ms)^```.*?^```\n")
	notSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	ruleHead = regexp.MustCompile(`(?m)^### ((?:ID|PR|SP|AC|TS|TM|VE))-([0-9]+): `)
	rule     = regexp.MustCompile(`\b(?:ID|PR|SP|AC|TS|TM|VE)-[0-9]+\b`)
	testName = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	console  = regexp.MustCompile("(?ms)^```console\n(.*?)^```\n")
)

// anchors are the names that the headings of a page can be linked by.
func anchors(page string) map[string]bool {
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		slug := notSlug.ReplaceAllString(strings.ToLower(m[1]), "")
		names[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return names
}

func TestLinksLeadSomewhere(t *testing.T) {
	pages := files(t, ".md")
	for path, page := range pages {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
			target, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: the link %s: %v", path, m[1], err)
				continue
			}
			if target.Scheme != "" {
				continue
			}
			to := path
			if target.Path != "" {
				to = filepath.Join(filepath.Dir(path), target.Path)
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s: the link %s leads nowhere", path, m[1])
					continue
				}
			}
			if target.Fragment != "" && !anchors(pages[to])[target.Fragment] {
				t.Errorf("%s: %s has no heading for the link %s", path, to, m[1])
			}
		}
	}
}

// TestRules shows that the rules of each group are numbered without gaps, and
// that every rule that code or a page cites exists.
func TestRules(t *testing.T) {
	known, last := map[string]bool{}, map[string]int{}
	for _, m := range ruleHead.FindAllStringSubmatch(files(t, ".md")["docs/semantics.md"], -1) {
		group, number := m[1], m[2]
		known[group+"-"+number] = true
		last[group]++
		if want := strconv.Itoa(last[group]); number != want {
			t.Errorf("%s-%s stands where %s-%s is expected", group, number, group, want)
		}
	}
	for group, least := range map[string]int{"ID": 6, "PR": 5, "SP": 9, "AC": 18, "TS": 13, "TM": 8, "VE": 3} {
		if last[group] < least {
			t.Errorf("%s ends at %d; it had %d rules, and a number once given stays", group, last[group], least)
		}
	}
	for path, text := range files(t, ".go", ".md", ".yaml") {
		for _, cited := range rule.FindAllString(text, -1) {
			if !known[cited] && !strings.HasSuffix(path, "_test.go") {
				t.Errorf("%s cites the rule %s, which docs/semantics.md does not have", path, cited)
			}
		}
	}
}

func TestNamedTestsExist(t *testing.T) {
	exist := map[string]bool{}
	for _, text := range files(t, ".go") {
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			exist[m[1]] = true
		}
	}
	for path, page := range files(t, ".md") {
		for _, m := range testName.FindAllStringSubmatch(page, -1) {
			if !exist[m[1]] {
				t.Errorf("%s names the test %s, which does not exist", path, m[1])
			}
		}
	}
}

// update writes what commands print into the pages instead of comparing.
var update = flag.Bool("update", false, "write the output of commands into the pages")

// offline are the commands whose output depends on the named files alone.
var offline = []string{"check", "explain", "compile"}

// TestCommandsPrintWhatPagesShow runs the commands of all console blocks. A
// line that begins with "$ " is a command, what follows is its output.
func TestCommandsPrintWhatPagesShow(t *testing.T) {
	pages := files(t, ".md")
	t.Chdir(root)
	for path, page := range pages {
		current := console.ReplaceAllStringFunc(page, func(block string) string {
			shown := strings.TrimSuffix(strings.TrimPrefix(block, "```console\n"), "```\n")
			return "```console\n" + replay(shown) + "```\n"
		})
		switch {
		case current == page:
		case *update:
			if err := os.WriteFile(path, []byte(current), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s shows an output that a command does not print any more (-update writes it anew): %s", path, firstDifference(page, current))
		}
	}
}

// replay returns a console block with what its commands print now.
func replay(shown string) string {
	var out strings.Builder
	for _, session := range strings.Split("\n"+shown, "\n$ ")[1:] {
		command, printed, _ := strings.Cut(session, "\n")
		args := strings.Fields(command)
		if filepath.Base(args[0]) == "smi" && len(args) > 1 && slices.Contains(offline, args[1]) {
			printed = run(args[1:])
		}
		out.WriteString("$ " + command + "\n")
		if printed = strings.Trim(printed, "\n"); printed != "" {
			out.WriteString(printed + "\n")
		}
	}
	return out.String()
}

func run(args []string) string {
	var out bytes.Buffer
	app := &cli.App{In: strings.NewReader(""), Out: &out, Err: &out, Getenv: func(string) string { return "" }}
	cli.Run(context.Background(), app, args)
	return out.String()
}

func firstDifference(was, is string) string {
	before, now := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := range min(len(before), len(now)) {
		if before[i] != now[i] {
			return fmt.Sprintf("line %d is %q, and is printed as %q", i+1, before[i], now[i])
		}
	}
	return "one is longer than the other"
}
