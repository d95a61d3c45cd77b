package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/kube/kubetest"
	"github.com/smi-project/smi/internal/rootkeeper"
	"github.com/smi-project/smi/internal/store"
)

func TestCA(t *testing.T) {
	config := kubetest.Start(t)
	path := kubetest.Kubeconfig(t, config)
	client, err := kube.Connection{Kubeconfig: path}.Clientset()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "smi-system"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	smi := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), &App{Out: &out, Err: &errs, Getenv: os.Getenv}, append(args, "--kubeconfig", path))
		return code, out.String(), errs.String()
	}
	for _, command := range []string{"status", "rotate"} {
		if code, _, errs := smi("ca", command); code != ExitUsage || !strings.Contains(errs, "no controller leads there yet") {
			t.Errorf("smi ca %s without a controller: %d %s", command, code, errs)
		}
	}

	var untold atomic.Bool
	keeper, err := rootkeeper.New(rootkeeper.Options{
		Client: client, Namespace: "smi-system", TrustDomain: "cluster.local", Replica: "a", Snapshot: store.New().Snapshot,
		Untold: func() []string {
			if untold.Load() {
				return []string{"a webhook has other roots"}
			}
			return nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = keeper.Run(ctx) })
	running.Go(func() { _ = keeper.Lead(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })

	stable := func() (out string) {
		kubetest.Eventually(t, func(context.Context) error {
			code, said, errs := smi("ca", "status")
			if out = said; code != ExitOK {
				return fmt.Errorf("%d %s%s", code, said, errs)
			}
			return nil
		})
		return out
	}
	before := stable()
	if !strings.HasPrefix(before, "stable (epoch 1, since ") || strings.Count(before, "SMI root") != 1 || !strings.Contains(before, "trusted, signs") {
		t.Errorf("smi ca status says\n%s", before)
	}
	code, out, errs := smi("ca", "rotate", "--timeout", (2 * time.Minute).String())
	if code != ExitOK || !strings.HasSuffix(out, "stable\n") {
		t.Errorf("smi ca rotate: %d\n%s%s", code, out, errs)
	}
	if code, _, errs := smi("ca", "rotate", "--force"); code != ExitUsage || !strings.Contains(errs, "no rotation is under way") {
		t.Errorf("smi ca rotate --force with stable roots: %d %s", code, errs)
	}
	after := stable()
	// A place that cannot be told holds the next one up, step by step.
	untold.Store(true)
	for step, ends := range []string{"not waiting any longer: a webhook", "the old root is trusted no more. Whoever", "may go on trusting the old root"} {
		args := []string{"ca", "rotate", "--timeout", "2s"}
		if step == 0 {
			if code, out, errs := smi(args...); code != ExitNo || !strings.Contains(out, "waiting: a webhook") {
				t.Fatalf("a rotation that is held up: %d\n%s%s", code, out, errs)
			}
		}
		if code, out, errs := smi(append(args, "--force")...); !strings.Contains(out, ends) {
			t.Errorf("step %d, forced: %d\n%s%s, without %q", step+1, code, out, errs, ends)
		}
	}
	untold.Store(false)
	stable()
	root := func(status string) string { return strings.Fields(strings.Split(status, "\n")[2])[2] }
	if root(before) == root(after) || strings.Count(after, "SMI root") != 1 {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}
