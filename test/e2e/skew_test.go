//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/meshstatus"
)

// TestReleaseBefore upgrades the mesh from the release before this one and goes back
// to it, under load. In between, each release's controller serves the other's
// sidecars. No call may fail.
func TestReleaseBefore(t *testing.T) {
	before := here.releaseBefore(t)
	const short = "config.certificateTTL=20s"
	ctx := context.WithoutCancel(t.Context())
	if err := here.uninstall(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := here.install(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := before.install(ctx, short); err != nil {
		t.Fatal(err)
	}
	l := here.underLoad(t, "e2e-skew")
	here.apply(t, workload{namespace: l.namespace, name: "guest"}.yaml())
	here.running(t, l.namespace)

	t.Run("this controller, the sidecars before", func(t *testing.T) {
		l.during(t, "helm upgrade", func() { here.upgrade(t, short) })
		l.worksWith(t, "guest", "load", "server")
	})
	t.Run("sidecars of both", func(t *testing.T) {
		l.during(t, "servers with this sidecar", func() { here.restart(t, l.namespace, "server") })
		l.worksWith(t, "guest", "load")
	})
	here.restart(t, l.namespace, "load")
	l.find(t)
	t.Run("the controller before, these sidecars", func(t *testing.T) {
		l.during(t, "helm rollback", func() {
			if _, err := here.helm(ctx, "rollback", release, "1", "--namespace", system, "--wait", "--timeout", "3m"); err != nil {
				t.Fatal(err)
			}
		})
		l.worksWith(t, "load", "server")
	})
}

// releaseBefore is the same cluster, with the chart and the images of the release
// before this one.
func (c *cluster) releaseBefore(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("takes minutes; make e2e-full runs it")
	}
	before := *c
	before.chart, before.tag = os.Getenv("E2E_PREVIOUS_CHART"), os.Getenv("E2E_PREVIOUS_TAG")
	if before.chart == "" || before.tag == "" {
		t.Skip("E2E_PREVIOUS_CHART and E2E_PREVIOUS_TAG name the release before this one; on a cluster of test/cluster, make e2e-full sets them")
	}
	return &before
}

// worksWith sees that sidecars and controller work together: policies that change
// take effect, certificates are renewed, and smi status has nothing to say but that
// those applications have sidecars of another release.
func (l *load) worksWith(t *testing.T, others ...string) {
	t.Helper()
	l.follows(t)
	guest, at := l.c.sender(t, l.namespace, "guest"), get("server."+l.namespace, 8080, "/")
	guest.gets(t, "403", at)
	l.c.apply(t, allow(l.namespace, "server", l.namespace+"/load", l.namespace+"/guest"))
	guest.gets(t, "200 from "+l.namespace+"/server", at)
	l.c.apply(t, allow(l.namespace, "server", l.namespace+"/load"))
	guest.gets(t, "403", at)
	// Every connection of the load's TCP calls is a new one, whose certificates hold.
	l.during(t, "certificates of 20 s end twice", func() { l.c.elapse(t, 45*time.Second) })
	eventually(t, "smi status tells of sidecars of another release, and of nothing else", func(ctx context.Context) string {
		return l.statusLacks(ctx, others)
	})
}

// statusLacks says what smi status should say and does not, or says and should not.
func (l *load) statusLacks(ctx context.Context, others []string) string {
	text, err := l.c.smi(ctx, "status", "-o", "json")
	if err != nil {
		return err.Error()
	}
	var report meshstatus.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return fmt.Sprintf("%v in %s", err, text)
	}
	var named []string
	for _, check := range report.Checks {
		switch {
		case check.Name == "sidecar images":
			named = check.Details
		case check.State != meshstatus.OK:
			return fmt.Sprintf("%s is %s: %s %q", check.Name, check.State, check.Message, check.Details)
		}
	}
	for _, app := range others {
		if !strings.Contains(strings.Join(named, "\n"), "pod "+l.namespace+"/"+app+"-") {
			return fmt.Sprintf("%s is not among %q", app, named)
		}
	}
	for _, line := range named {
		if app, _, _ := strings.Cut(strings.TrimPrefix(line, "pod "+l.namespace+"/"), "-"); !slices.Contains(others, app) {
			return fmt.Sprintf("%q, and %q alone are of another release", line, others)
		}
	}
	return ""
}
