package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

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
}

func conformanceMatrix(app *App) *cobra.Command {
	f := matrixFlags{format: matrixMarkdown}
	cmd := &cobra.Command{
		Use:   "matrix DIR --key FILE...",
		Short: "Compare meshes by a folder of signed reports",
		Long: `Read a folder with all folders below it, verify every report, and print a table:
features as rows, each version of each mesh as a column with its newest run.
Earlier runs are kept in the JSON.

A report that does not verify, or that is of a part of the suite, does not
count. It is listed with the reason.

Exit codes: 0 done; 1 there are reports that do not count, unless
--skip-unverified says that this is expected; 2 the arguments make no sense, or
the folder cannot be read.`,
		Example: `  smi conformance matrix reports/ --key alpha.pub --key beta.pub

  # A page, and what a program reads
  smi conformance matrix reports/ --key alpha.pub -o html --out reports/index.html
  smi conformance matrix reports/ --key alpha.pub -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return UsageErrorf("one folder with reports is needed")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return app.matrix(&f, args[0]) },
	}
	addKeyFlag(cmd, &f.keys)
	addChoiceFlag(cmd, choice{&f.format, []string{matrixMarkdown, matrixHTML, matrixJSON}}, false, [2]string{"output", "o"}, "form of the matrix")
	cmd.Flags().StringVar(&f.out, "out", "", "`FILE` to write to, in place of the standard output")
	cmd.Flags().BoolVar(&f.skip, "skip-unverified", false, "exit with 0 although some reports do not count")
	return cmd
}

func (a *App) matrix(f *matrixFlags, dir string) error {
	keys, err := readPublicKeys(f.keys)
	if err != nil {
		return err
	}
	m, err := matrix.Build(os.DirFS(dir), keys...)
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
	for _, l := range m.LeftOut {
		_, _ = io.WriteString(a.Err, printable("left out "+l.File+": "+l.Reason)+"\n") // nobody is left to tell
	}
	if len(m.LeftOut) > 0 && !f.skip {
		return ErrNo
	}
	return nil
}

func (f *matrixFlags) render(m *matrix.Matrix, dir string) ([]byte, error) {
	switch f.format {
	case matrixHTML:
		base := "."
		if f.out != "" {
			if to, err := filepath.Rel(filepath.Dir(f.out), dir); err == nil {
				base = filepath.ToSlash(to)
			}
		}
		return m.HTML(base)
	case matrixJSON:
		return m.JSON()
	default:
		return []byte(m.Markdown()), nil
	}
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
