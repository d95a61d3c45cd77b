package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/smi-project/smi/internal/local"
)

// screen prints what a running mesh says: lines everywhere, and on a terminal a
// live table below them.
type screen struct {
	app  *App
	live bool
	// size is the terminal's width and height.
	size func() (width, height int)

	mu sync.Mutex
	// drawn are the lengths of the lines of the table that stands on the terminal.
	drawn []int
	// shown is that table, and at which size.
	shown string
	table func(width int) string
	// said is the summary that was printed last, where there is no table.
	said string
}

func newScreen(app *App, plain bool) *screen {
	s := &screen{app: app}
	if file, ok := app.Out.(*os.File); ok && !plain && term.IsTerminal(int(file.Fd())) && app.Getenv("TERM") != "dumb" {
		s.live = true
		s.size = func() (int, int) {
			width, height, err := term.GetSize(int(file.Fd()))
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		}
	}
	return s
}

// line prints one line above the table.
func (s *screen) line(source, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out bytes.Buffer
	s.erase(&out)
	fmt.Fprintf(&out, "%s %s\n", s.app.paint(bold, "["+source+"]"), printable(text))
	s.draw(&out)
	s.flush(&out)
}

// flush writes everything at once, so that nobody sees a half-drawn table.
func (s *screen) flush(out *bytes.Buffer) { _, _ = s.app.Out.Write(out.Bytes()) }

// refresh is how often the table is looked at.
const refresh = 500 * time.Millisecond

// show keeps the table current until the context ends; where there is no
// terminal it prints a line when the mesh becomes settled, and when it is not.
func (s *screen) show(ctx context.Context, rt *local.Runtime) {
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.update(nil)
			return
		case <-ticker.C:
		}
		status := rt.Status()
		if !s.live {
			s.summarise(&status)
			continue
		}
		s.update(&status)
	}
}

// update replaces the table where it says something new; nil removes it.
func (s *screen) update(status *local.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = nil
	if status != nil {
		s.table = func(width int) string { return statusTable(status, width) }
	}
	if s.live && s.table != nil && s.shown == s.render() {
		return
	}
	var out bytes.Buffer
	s.erase(&out)
	s.draw(&out)
	s.flush(&out)
}

// summarise prints one line about the whole mesh when it says something new.
func (s *screen) summarise(status *local.Status) {
	ready := 0
	for _, p := range status.Pods {
		if p.Ready {
			ready++
		}
	}
	text := fmt.Sprintf("%d of %s ready", ready, count(len(status.Pods), "pod"))
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

// erase removes the table from the terminal. Where that has become narrower, its
// lines have been broken. s.mu is held.
func (s *screen) erase(out *bytes.Buffer) {
	if len(s.drawn) == 0 {
		return
	}
	width, _ := s.size()
	rows := 0
	for _, length := range s.drawn {
		rows += max(1, (length+width-1)/width)
	}
	fmt.Fprintf(out, "\r\x1b[%dA\x1b[J", rows)
	s.drawn, s.shown = nil, ""
}

// draw puts the table below the lines. s.mu is held.
func (s *screen) draw(out *bytes.Buffer) {
	if !s.live || s.table == nil {
		return
	}
	s.shown = s.render()
	out.WriteString(s.shown)
	for line := range strings.Lines(s.shown) {
		s.drawn = append(s.drawn, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
	}
}

// render is the table as it fits on the terminal. s.mu is held.
func (s *screen) render() string {
	width, height := s.size()
	lines := strings.Split(strings.TrimSuffix(s.table(width), "\n"), "\n")
	if most := max(height-4, 3); len(lines) > most {
		lines = append(lines[:most-1], fmt.Sprintf("... and %d more lines", len(lines)-most+1))
	}
	var out strings.Builder
	for _, line := range lines {
		out.WriteString(cutLine(line, width) + "\n")
	}
	return out.String()
}

// cutLine keeps a line from being wrapped, which would shift the table.
func cutLine(line string, width int) string {
	runes := []rune(strings.TrimRight(line, " "))
	if width > 4 && len(runes) >= width {
		return string(runes[:width-4]) + "..."
	}
	return string(runes)
}
