package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// profileStart keeps where the processor time of the first seconds went.
func (p *controllerProcess) profileStart(ctx context.Context, dir string) error {
	const seconds = 12
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return eventually(ctx, time.Minute, func() error {
		return p.profile(ctx, filepath.Join(dir, "start.pprof"), fmt.Sprintf("profile?seconds=%d", seconds))
	})
}

// profileRest keeps what is in memory, after garbage was collected for it.
func (p *controllerProcess) profileRest(ctx context.Context, dir string) error {
	for file, what := range map[string]string{
		"heap.pprof": "heap?gc=1", "memory.txt": "heap?debug=1", "goroutine.pprof": "goroutine", "allocs.pprof": "allocs",
	} {
		if err := p.profile(ctx, filepath.Join(dir, file), what); err != nil {
			return err
		}
	}
	return nil
}

// profile keeps what the controller tells of itself in a file.
func (p *controllerProcess) profile(ctx context.Context, path, what string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.debug+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("profile %s: %s", what, response.Status)
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, response.Body)
	return err
}
