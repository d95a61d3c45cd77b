package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/smi-project/smi/internal/compile"
	"github.com/smi-project/smi/internal/source/file"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// input is what was read from files, and what it means.
type input struct {
	files *file.Result
	mesh  *mesh.Mesh
}

func addPathFlag(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "filename", "f", nil, "`PATH` of a file or folder with manifests, or - for the standard input; may be repeated")
	if err := cmd.MarkFlagFilename("filename", "yaml", "yml", "json"); err != nil {
		panic(err) // the flag was added above
	}
}

// load reads files and folders and compiles what is in them. What is wrong
// inside of a file is no error: it is among the findings of the files.
func (a *App) load(paths []string) (*input, error) {
	if len(paths) == 0 {
		return nil, UsageErrorf("-f is missing: the files or folders with the manifests, or - for the standard input")
	}
	config, err := a.Config()
	if err != nil {
		return nil, err
	}
	files, err := file.Load(paths, file.Options{Offline: true, Input: a.In})
	if err != nil {
		return nil, err
	}
	s := store.New()
	s.Replace(files.Objects)
	return &input{files: files, mesh: compile.New(config).Compile(s.Snapshot())}, nil
}

// requireWhole refuses to answer from an input of which something could not be
// read: the answer might be another one with it.
func (a *App) requireWhole(in *input) error {
	var left []mesh.Finding
	for _, f := range in.files.Findings {
		if f.Severity == mesh.Error {
			left = append(left, f)
		}
	}
	if len(left) == 0 {
		return nil
	}
	for _, f := range left {
		a.complain(f)
	}
	return fmt.Errorf("the input has %s, and without what is left out the answer could be wrong", count(len(left), "error"))
}

// complain prints a finding where errors go.
func (a *App) complain(f mesh.Finding) {
	_, _ = io.WriteString(a.Err, printable(f.Message)+"\n") // nobody is left to tell
}
