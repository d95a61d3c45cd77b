package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// suite is one of the things that are measured.
type suite struct {
	name, about string
	run         func(context.Context, *bench) error
}

var suites = []suite{
	{"compile", "from objects to what every proxy is sent", runCompile},
	{"xds", "from a changed object to the last proxy, and memory per proxy", runXDS},
	{"latency", "two sidecars beside two bare Envoys", runLatency},
	{"access", "an access decision among many sources", runAccess},
	{"kube", "the controller of a cluster, 500 Services and 1,500 proxies", runKube},
	{"kube-growth", "the same from 1,000 to 10,000 proxies", runKubeGrowth},
}

// bench is one run of the program.
type bench struct {
	// quick halves sizes and rounds: good for a look, not for a figure.
	quick bool
	// sizes are those of the growing cluster.
	sizes []kubeSize
	// profiles is the folder for profiles of a cluster's controller; "" for none.
	profiles string
	out      *report
}

const usage = `usage: bench [-quick] [all | compile | xds | latency | access | kube | kube-growth ...]

  -quick             smaller sizes and fewer rounds: about four minutes for all
  -proxies N,...     sizes of kube-growth (1000,5000,10000; with -quick 250,1000)
  -profile FOLDER    keep profiles of the controller of kube and kube-growth there
`

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			exit(role(os.Args[2:]))
		}
	}
	quick := flag.Bool("quick", false, "smaller sizes and fewer rounds")
	proxies := flag.String("proxies", "", "sizes of kube-growth")
	profiles := flag.String("profile", "", "folder for profiles")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	chosen, err := choose(flag.Args())
	if err != nil {
		exit(err)
	}
	if *proxies == "" {
		*proxies = "1000,5000,10000"
		if *quick {
			*proxies = "250,1000"
		}
	}
	sizes, err := growingSizes(*proxies)
	if err != nil {
		exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What is under way ends first; a second interrupt ends it at once.
	context.AfterFunc(ctx, stop)
	b := &bench{quick: *quick, sizes: sizes, profiles: *profiles, out: newReport(os.Stdout)}
	b.out.machine()
	for _, s := range chosen {
		b.out.title(s.name, s.about)
		if ctx.Err() != nil {
			exit(errors.New("interrupted"))
		}
		if err := s.run(ctx, b); err != nil {
			exit(fmt.Errorf("%s: %w", s.name, err))
		}
	}
	b.out.end()
}

// choose returns the suites of those names; all if there is none.
func choose(names []string) ([]suite, error) {
	if len(names) == 0 || slices.Contains(names, "all") {
		return suites, nil
	}
	var chosen []suite
	for _, name := range names {
		i := slices.IndexFunc(suites, func(s suite) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no suite %q\n%s", name, strings.TrimRight(usage, "\n"))
		}
		chosen = append(chosen, suites[i])
	}
	return chosen, nil
}

// roles are what the program is in processes that it starts itself, so that
// memory and processor time can be told apart.
var roles = map[string]func(args []string) error{
	"role-app":        runApp,
	"role-host":       runHost,
	"role-xds-server": runXDSServer,
	"role-xds-fleet":  runXDSFleet,
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}
