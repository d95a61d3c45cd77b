package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/smi-project/smi/internal/local"
)

// screen prints what a running mesh says: lines everywhere, and on a terminal a
// live table below them.
type screen struct {
	app  *App
	live bool
	fd   int

	mu sync.Mutex
	// drawn is the number of lines of the table that stands on the terminal.
	drawn int
	table string
	// said is the summary that was printed last, where there is no table.
	said string
}

func newScreen(app *App, plain bool) *screen {
	s := &screen{app: app}
	if file, ok := app.Out.(*os.File); ok && !plain && term.IsTerminal(int(file.Fd())) && app.Getenv("TERM") != "dumb" {
		s.live, s.fd = true, int(file.Fd())
	}
	return s
}

// line prints one line above the table.
func (s *screen) line(source, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.app.Out, "%s %s\n", s.app.paint(bold, "["+source+"]"), printable(text))
	s.draw()
}

// refresh is how often the table is drawn again.
const refresh = 500 * time.Millisecond

// show keeps the table current until the context ends; where there is no
// terminal it prints a line when the mesh becomes settled, and when it is not.
func (s *screen) show(ctx context.Context, rt *local.Runtime) {
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.erase()
			s.table = ""
			s.mu.Unlock()
			return
		case <-ticker.C:
		}
		status := rt.Status()
		if !s.live {
			s.summarise(&status)
			continue
		}
		s.mu.Lock()
		s.erase()
		s.table = s.app.statusTable(&status)
		s.draw()
		s.mu.Unlock()
	}
}

// summarise prints one line about the whole mesh when it says something new.
func (s *screen) summarise(status *local.Status) {
	ready := 0
	for _, p := range status.Pods {
		if p.Ready {
			ready++
		}
	}
	text := fmt.Sprintf("%d of %d pods ready", ready, len(status.Pods))
	if status.Settled && len(status.Pods) > 0 {
		text += ", every proxy in sync"
	}
	s.mu.Lock()
	said := s.said
	s.said = text
	s.mu.Unlock()
	if said != text {
		s.line("smi", text)
	}
}

// erase removes the table from the terminal. s.mu is held.
func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.app.Out, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// draw puts the table below the lines, cut to the terminal. s.mu is held.
func (s *screen) draw() {
	if !s.live || s.table == "" {
		return
	}
	width, height, err := term.GetSize(s.fd)
	if err != nil {
		width, height = 80, 24
	}
	lines := strings.Split(strings.TrimSuffix(s.table, "\n"), "\n")
	if most := max(height-4, 3); len(lines) > most {
		lines = append(lines[:most-1], fmt.Sprintf("... and %d more lines", len(lines)-most+1))
	}
	for _, line := range lines {
		fmt.Fprintln(s.app.Out, cutLine(line, width))
	}
	s.drawn = len(lines)
}

// cutLine keeps a line from being wrapped, which would shift the table.
func cutLine(line string, width int) string {
	runes := []rune(line)
	if width > 1 && len(runes) >= width {
		return string(runes[:width-1])
	}
	return line
}

// maxDenials is how many denials the table shows.
const maxDenials = 5

// statusTable is the live table: pods, splits, denials.
func (a *App) statusTable(status *local.Status) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPOD\tACCOUNT\tSTATE\tREADY\tRESTARTS\tPROXY")
	for _, p := range status.Pods {
		ready := "no"
		if p.Ready {
			ready = "yes"
		}
		state := string(p.State)
		if p.Reason != "" {
			state += ": " + p.Reason
		}
		fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%d\t%s\n", p.Namespace, p.Name, p.ServiceAccount, printable(state), ready, p.Restarts, p.Proxy)
	}
	_ = w.Flush()
	if len(status.Splits) > 0 {
		fmt.Fprintln(w, "\nSPLIT\tROOT\tBACKEND\tWEIGHT\tWANTED\tOBSERVED\tREQUESTS")
		for _, s := range status.Splits {
			root := fmt.Sprintf("%s:%d", s.Service, s.Port)
			if s.Matches {
				root += " (matches)"
			}
			for _, b := range s.Backends {
				fmt.Fprintf(w, "%s/%s\t%s\t%s\t%d\t%.1f%%\t%.1f%%\t%d\n", s.Namespace, s.Name, root, b.Service, b.Weight, 100*b.Wanted, 100*b.Observed, b.Requests)
			}
		}
		_ = w.Flush()
	}
	if len(status.Denials) > 0 {
		fmt.Fprintln(w, "\nDENIED\tTO\tTIMES")
		for _, d := range status.Denials[:min(len(status.Denials), maxDenials)] {
			fmt.Fprintf(w, "%s\t%s\t%d\n", d.Source, d.Destination, d.Count)
		}
		_ = w.Flush()
	}
	return out.String()
}
