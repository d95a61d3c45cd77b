//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestBookstore applies the example as it stands in the project, and sees that its
// own clients meet what its README says.
func TestBookstore(t *testing.T) {
	var text strings.Builder
	for _, name := range []string{"app.yaml", "access.yaml", "split.yaml"} {
		part, err := os.ReadFile(filepath.Join(root(), "examples", "bookstore", name))
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("\n---\n" + string(part))
	}
	manifest := strings.ReplaceAll(text.String(), "image: smi-sample", "image: $IMAGE")
	here.apply(t, manifest)
	t.Cleanup(func() { here.removeAll(t, manifest) })
	here.running(t, "bookstore", "bookbuyer", "bookthief")

	// The buyer's and the thief's programs call by themselves and log the answers.
	eventually(t, "the buyer buys", func(ctx context.Context) string { return here.says(ctx, "bookbuyer", "app=bookbuyer", "200:") })
	eventually(t, "both versions sell", func(ctx context.Context) string {
		return here.says(ctx, "bookbuyer", "app=bookbuyer", "bookstore-v1", "bookstore-v2")
	})
	eventually(t, "the thief gets nothing", func(ctx context.Context) string {
		return here.says(ctx, "bookthief", "app=bookthief", "403:")
	})
	if lack := here.says(t.Context(), "bookthief", "app=bookthief", "200:"); lack == "" {
		t.Error("the thief got something")
	}
}

// says looks for all of the words in the summaries of a pod's log, and returns what
// is missing.
func (c *cluster) says(ctx context.Context, namespace, selector string, words ...string) string {
	living, err := c.pods(ctx, namespace, selector)
	if err != nil || len(living) == 0 {
		return "no pod runs"
	}
	text, err := c.core.CoreV1().Pods(namespace).GetLogs(living[0].Name, &corev1.PodLogOptions{Container: living[0].Spec.Containers[0].Name}).DoRaw(ctx)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "summary") {
			continue
		}
		var missing []string
		for _, w := range words {
			if !strings.Contains(line, w) {
				missing = append(missing, w)
			}
		}
		if len(missing) == 0 {
			return ""
		}
	}
	return "no summary with " + strings.Join(words, " and ") + " in its log"
}

// removeAll removes objects and waits for nothing.
func (c *cluster) removeAll(t *testing.T, text string) {
	objects, err := c.objects(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	for _, o := range objects {
		if err := c.client.Delete(ctx, o); err != nil {
			t.Logf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}
