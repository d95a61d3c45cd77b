package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"
)

// format is how a command prints its answer.
type format string

const (
	formatTable format = "table" // for people
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

// choice is the value of a flag that takes one of a few words.
type choice struct {
	value   *string
	choices []string
}

// String returns the chosen word.
func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type returns the words, as help shows them.
func (c choice) Type() string { return strings.Join(c.choices, "|") }

// Set takes one of the words.
func (c choice) Set(s string) error {
	if !slices.Contains(c.choices, s) {
		return fmt.Errorf("want %s", strings.Join(c.choices, ", "))
	}
	*c.value = s
	return nil
}

// addChoiceFlag adds a flag that takes one of a few words, and tells shells
// which.
func addChoiceFlag(cmd *cobra.Command, c choice, persistent bool, names [2]string, usage string) {
	flags := cmd.Flags()
	if persistent {
		flags = cmd.PersistentFlags()
	}
	flags.VarP(c, names[0], names[1], usage)
	complete := cobra.FixedCompletions(c.choices, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(names[0], complete); err != nil {
		panic(err) // the flag was added two lines above
	}
}

func addFormatFlag(cmd *cobra.Command, f *format) {
	choices := []string{string(formatTable), string(formatJSON), string(formatYAML)}
	addChoiceFlag(cmd, choice{(*string)(f), choices}, false, [2]string{"output", "o"}, "how to print the answer")
}

// printObject prints an answer for a program.
func (a *App) printObject(f format, v any) error {
	var (
		text []byte
		err  error
	)
	switch f {
	case formatYAML:
		text, err = yaml.Marshal(v)
	default:
		text, err = json.MarshalIndent(v, "", "  ")
		text = append(text, '\n')
	}
	if err != nil {
		return err
	}
	_, err = a.Out.Write(text)
	return err
}

// colour is an ANSI escape code.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
)

// paint colours a text where the output is a terminal and nobody objects
// (https://no-color.org).
func (a *App) paint(c colour, text string) string {
	file, ok := a.Out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || !a.wantsColour() {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// wantsColour tells what the environment says of colours.
func (a *App) wantsColour() bool {
	if a.Getenv("NO_COLOR") != "" || a.Getenv("TERM") == "dumb" {
		return false
	}
	// The console of Windows prints escape codes as they are; Windows Terminal,
	// which sets this variable, does not.
	return runtime.GOOS != "windows" || a.Getenv("WT_SESSION") != ""
}

// printable escapes everything in a text that could command a terminal or pass
// for a line of ours. Names and values in it come from files that anybody may
// have written.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
