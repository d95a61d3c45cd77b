package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes of every command.
const (
	// ExitOK tells that the command did what it was asked, and that the answer,
	// where there is one, is yes.
	ExitOK = 0
	// ExitNo tells that the command worked and the answer is no: a request is
	// denied, a check found errors.
	ExitNo = 1
	// ExitUsage tells that the command could not work: its arguments make no
	// sense, or its input cannot be read.
	ExitUsage = 2
)

// ErrNo is returned by a command that has printed its answer, and the answer is
// no. Run turns it into ExitNo and prints nothing more. Every other error is
// printed and leads to ExitUsage.
var ErrNo = errors.New("the answer is no")

// App is what all commands share.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv reads the environment.
	Getenv func(string) string

	meaning meaning
}

// Process returns the App of this process: its streams and its environment.
func Process() *App {
	return &App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
}

// Command makes a subcommand of smi. The flags that all commands share are
// parsed when the command runs, not when it is made.
type Command func(*App) *cobra.Command

// Run carries out a command line and returns the exit code. The commands are
// added to those that this package has.
func Run(ctx context.Context, app *App, args []string, commands ...Command) int {
	root := newRoot(app)
	for _, c := range commands {
		root.AddCommand(c(app))
	}
	root.SetArgs(args)
	root.SetIn(app.In)
	root.SetOut(app.Out)
	root.SetErr(app.Err)
	ran, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNo):
		return ExitNo
	}
	message := strings.Split(err.Error(), "\n")
	for i, line := range message {
		message[i] = printable(line)
	}
	fmt.Fprintf(app.Err, "error: %s\n", strings.Join(message, "\n"))
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(app.Err, "See '%s --help'.\n", ran.CommandPath())
	}
	return ExitUsage
}

// usageError tells that the arguments make no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// UsageErrorf returns an error about a command's arguments; Run then points at
// the command's help.
func UsageErrorf(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}
