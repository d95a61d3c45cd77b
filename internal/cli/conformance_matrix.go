package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/conformance/cases"
	"github.com/smi-project/smi/conformance/matrix"
)

// The forms of a matrix.
const (
	matrixMarkdown = "markdown"
	matrixHTML     = "html"
	matrixJSON     = "json"
)

// matrixFlags are the flags of smi conformance matrix.
type matrixFlags struct {
	keys   []string
	format string
	out    string
	// skip tells that reports which do not count are no reason to fail.
	skip bool
	// others tells that reports of other suites count too.
	others bool
}

func conformanceMatrix(app *App) *cobra.Command {
	f := matrixFlags{format: matrixMarkdown}
	cmd := &cobra.Command{
		Use:   "matrix DIR --key FILE...",
		Short: "Compare meshes by a folder of signed reports",
		Long: `Read a folder with all folders below it, verify every report, and print a table:
features as rows, and as columns each version of each mesh, by platform and by
who signed, with the newest run. Earlier runs are kept in the JSON, and columns
say in how many of them cases failed.

A report does not count if it does not verify, if its key may not speak for the
mesh, if it is of a part of the suite or of another suite than this program has,
or if it is from the future. It is listed with the reason.

--key FILE lets a key speak for all meshes, and --key MESH=FILE for that mesh
only. A path with = in it begins with ./ then.

Exit codes: 0 done; 1 there are reports that do not count, unless
--skip-unverified says that this is expected; 2 the arguments make no sense, or
the folder cannot be read.`,
		Example: `  smi conformance matrix reports/ --key Alpha=alpha.pub --key Beta=beta.pub

  # A page, and what a program reads
  smi conformance matrix reports/ --key Alpha=alpha.pub -o html --out reports/index.html
  smi conformance matrix reports/ --key Alpha=alpha.pub -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return UsageErrorf("one folder with reports is needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return app.matrix(&f, args[0]) },
	}
	addKeyFlag(cmd, &f.keys, "`[MESH=]FILE` with a public key in PEM form, and the mesh that it may speak for")
	addChoiceFlag(cmd, choice{&f.format, []string{matrixMarkdown, matrixHTML, matrixJSON}}, false, [2]string{"output", "o"}, "form of the matrix")
	cmd.Flags().StringVar(&f.out, "out", "", "`FILE` to write to, in place of the standard output")
	cmd.Flags().BoolVar(&f.skip, "skip-unverified", false, "exit with 0 although some reports do not count")
	cmd.Flags().BoolVar(&f.others, "other-suites", false, "count reports of other suites than this program has, too, and mark them")
	return cmd
}

func (a *App) matrix(f *matrixFlags, dir string) error {
	rules, err := f.rules()
	if err != nil {
		return err
	}
	// Nothing outside of the folder is read, wherever links in it lead.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	m, err := matrix.Build(root.FS(), rules)
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	text, err := f.render(m, dir)
	if err != nil {
		return err
	}
	if f.out == "" {
		_, err = a.Out.Write(text)
	} else {
		err = writeFile(f.out, text)
	}
	if err != nil {
		return err
	}
	for _, file := range m.PassedOver {
		_, _ = io.WriteString(a.Err, printable("passed over "+file+": it is a matrix, and no report")+"\n")
	}
	for _, l := range m.LeftOut {
		_, _ = io.WriteString(a.Err, printable("left out "+l.File+": "+l.Reason)+"\n") // nobody is left to tell
	}
	if len(m.LeftOut) > 0 && !f.skip {
		return ErrNo
	}
	return nil
}

// rules are what makes a report count.
func (f *matrixFlags) rules() (*matrix.Rules, error) {
	meshes, paths := make([]string, len(f.keys)), make([]string, len(f.keys))
	for i, given := range f.keys {
		mesh, path, bound := strings.Cut(given, "=")
		switch {
		case !bound || strings.ContainsAny(mesh, `/\`):
			paths[i] = given
		case mesh == "" || path == "":
			return nil, UsageErrorf("--key %s: want a FILE, or MESH=FILE", given)
		default:
			meshes[i], paths[i] = mesh, path
		}
	}
	publics, err := readPublicKeys(paths)
	if err != nil {
		return nil, err
	}
	suite, err := cases.Suite().About()
	if err != nil {
		return nil, err
	}
	rules := &matrix.Rules{Suite: suite, OtherSuites: f.others, Now: time.Now()}
	for i, public := range publics {
		rules.Keys = append(rules.Keys, matrix.Key{Public: public, Mesh: meshes[i]})
	}
	return rules, nil
}

func (f *matrixFlags) render(m *matrix.Matrix, dir string) ([]byte, error) {
	switch f.format {
	case matrixHTML:
		base, err := f.base(dir)
		if err != nil {
			return nil, err
		}
		return m.HTML(base)
	case matrixJSON:
		return m.JSON()
	default:
		return []byte(m.Markdown()), nil
	}
}

// base is the path from the page to the folder of the reports.
func (f *matrixFlags) base(dir string) (string, error) {
	if f.out == "" {
		return ".", nil
	}
	from, err := filepath.Abs(filepath.Dir(f.out))
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path, err := filepath.Rel(from, to)
	return filepath.ToSlash(path), err
}

// writeFile writes a file that others may read.
func writeFile(path string, content []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}
