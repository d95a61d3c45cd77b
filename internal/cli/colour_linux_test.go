package cli

import (
	"os"
	"testing"
)

// A pseudo-terminal is a terminal.
func TestTerminalsGetColours(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	env := map[string]string{"TERM": "xterm"}
	app, _, _ := testApp(env)
	app.Out = terminal
	if got, want := app.paint(red, "x"), "\x1b[31mx\x1b[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	env["NO_COLOR"] = "1"
	if got := app.paint(red, "x"); got != "x" {
		t.Errorf("NO_COLOR: got %q", got)
	}
}
