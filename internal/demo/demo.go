//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smi-project/smi/examples/bookstore"
	"github.com/smi-project/smi/internal/local"
)

// Options say what the demo runs with.
type Options struct {
	// Out takes the story.
	Out io.Writer
	// Paint colours the marks of checks.
	Paint func(good bool, text string) string
	// Envoy and Sample are paths of executables.
	Envoy, Sample string
	// Verbose prints what the pods print, too.
	Verbose bool
}

// ErrFailed tells that a check did not hold.
var ErrFailed = errors.New("a check did not hold")

// story is a running demo.
type story struct {
	checks
	folder string
	rt     *local.Runtime
}

// settleTime bounds the wait for pods and proxies, for slow machines too.
const settleTime = 60 * time.Second

// Run tells the story. It returns ErrFailed when a check did not hold, and
// another error when the story could not be told.
func Run(ctx context.Context, options Options) error {
	folder, err := os.MkdirTemp("", "smi-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	s := &story{folder: folder, checks: checks{out: options.Out, paint: options.Paint}}
	if err := s.apply("app.yaml"); err != nil {
		return err
	}
	line := func(source, text string) {
		if options.Verbose {
			fmt.Fprintf(options.Out, "    [%s] %s\n", source, text)
		}
	}
	s.rt, err = local.New(local.Options{
		Paths: []string{folder}, Envoy: options.Envoy, Line: line, AdminSocket: filepath.Join(folder, ".admin.sock"),
		Commands: local.Commands{"smi-sample": {options.Sample}},
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		// Without a mesh there is nothing to tell any more.
		defer stop()
		ended <- s.rt.Run(running)
	}()
	told := s.tell(running)
	stop()
	if err := <-ended; err != nil {
		return err
	}
	if told != nil {
		return told
	}
	s.afterwards()
	fmt.Fprintf(s.out, "\ndemo: %d checks, %d passed\n", s.total, s.passed)
	if s.passed != s.total {
		return ErrFailed
	}
	return nil
}

// apply copies a file of the bookstore into the folder, as kubectl apply would
// put it into a cluster.
func (s *story) apply(name string) error {
	text, err := fs.ReadFile(bookstore.Files, name)
	if err != nil {
		return err
	}
	return s.write(name, string(text))
}

// write replaces a file of the folder in one step.
func (s *story) write(name, text string) error {
	draft := filepath.Join(s.folder, "."+name)
	if err := os.WriteFile(draft, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, filepath.Join(s.folder, name))
}

func (s *story) remove(name string) error { return os.Remove(filepath.Join(s.folder, name)) }

// shift applies the split with other weights.
func (s *story) shift(v1, v2 int) error {
	text, err := fs.ReadFile(bookstore.Files, "split.yaml")
	if err != nil {
		return err
	}
	changed := strings.NewReplacer("weight: 90", fmt.Sprintf("weight: %d", v1), "weight: 10", fmt.Sprintf("weight: %d", v2)).Replace(string(text))
	return s.write("split.yaml", changed)
}

// ask sends requests from a workload to a path of the bookstore.
func (s *story) ask(ctx context.Context, from string, r local.Request) (*local.Report, error) {
	status := s.rt.Status()
	pod, err := status.FindPod(from)
	if err != nil {
		return nil, err
	}
	return status.Send(ctx, pod, r)
}
