package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// controllerProcess is smi controller, outside of the cluster.
type controllerProcess struct {
	*child
	started                 time.Time
	control, metrics, debug string
	log                     *os.File
}

// buildProgram builds smi as it is in this tree.
func buildProgram(ctx context.Context, dir string) (string, error) {
	const module = "github.com/smi-project/smi"
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the module %s: %w", module, err)
	}
	program := filepath.Join(dir, "smi")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/smi")
	build.Dir, build.Env = strings.TrimSpace(string(root)), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build smi: %w\n%s", err, out)
	}
	return program, nil
}

// startController starts it with its defaults, on free ports of loopback.
func (c *cluster) startController(program string) (*controllerProcess, error) {
	p := &controllerProcess{}
	args := []string{"controller", "--kubeconfig", c.kubeconfig, "--namespace", systemNamespace}
	for _, flag := range []string{"control", "metrics", "debug", "health", "webhook"} {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		args = append(args, "--listen-"+flag, address)
		switch flag {
		case "control":
			p.control = address
		case "metrics":
			p.metrics = address
		case "debug":
			p.debug = address
		}
	}
	var err error
	if p.log, err = os.OpenFile(filepath.Join(c.dir, "controller.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	p.started = time.Now()
	p.child, err = startLogged(p.log, program, args...)
	return p, err
}

func (p *controllerProcess) stop() {
	p.child.stop()
	_ = p.log.Close()
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// gauge is a metric that the controller tells, by its name with labels.
func (p *controllerProcess) gauge(ctx context.Context, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			var v float64
			_, err := fmt.Sscan(value, &v)
			return v, err
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// inStep waits until so many proxies have acknowledged everything.
func (p *controllerProcess) inStep(ctx context.Context, proxies int) error {
	return eventually(ctx, 2*time.Minute, func() error {
		n, err := p.gauge(ctx, `smi_controller_proxies{state="in_sync"}`)
		if err == nil && int(n) != proxies {
			err = fmt.Errorf("%d of %d proxies are in step", int(n), proxies)
		}
		return err
	})
}

// written waits until every object has its status: nothing has waited to be
// written for a while, by the one replica that writes.
func (p *controllerProcess) written(ctx context.Context, say func(string, ...any)) error {
	const calm = 5 * time.Second
	since, said := time.Time{}, time.Now()
	return eventually(ctx, 5*time.Minute, func() error {
		leads, errLeads := p.gauge(ctx, "smi_controller_leader")
		pushed, errPushed := p.gauge(ctx, `smi_controller_step_seconds_count{step="publish"}`)
		waiting, errWaiting := p.gauge(ctx, "smi_controller_status_queue")
		switch err := errors.Join(errLeads, errPushed, errWaiting); {
		case err != nil:
			return err
		case leads == 0 || pushed == 0 || waiting > 0:
			since = time.Time{}
			if time.Since(said) > calm {
				said = time.Now()
				say("the status of %d objects is to be written", int(waiting))
			}
			return fmt.Errorf("the status of %d objects is to be written", int(waiting))
		case since.IsZero():
			since = time.Now()
		}
		if time.Since(since) < calm {
			return errors.New("something may be written yet")
		}
		return nil
	})
}
