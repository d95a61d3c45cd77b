package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker when a release is built.
var version = ""

// buildInfo is what smi version prints.
type buildInfo struct {
	Version string `json:"version"`
	// Commit is empty where the build did not record it.
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuildInfo() buildInfo {
	b := buildInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func versionCommand(app *App) *cobra.Command {
	format := formatTable
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  smi version
  smi version -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			info := readBuildInfo()
			if format != formatTable {
				return app.printObject(format, info)
			}
			fmt.Fprintf(app.Out, "smi %s", info.Version)
			if info.Commit != "" {
				fmt.Fprintf(app.Out, " (%s%s)", info.Commit, modifiedMark(info.Modified))
			}
			fmt.Fprintf(app.Out, " %s %s\n", info.Go, info.Platform)
			return nil
		},
	}
	addFormatFlag(cmd, &format)
	return cmd
}

func modifiedMark(modified bool) string {
	if modified {
		return ", modified"
	}
	return ""
}
