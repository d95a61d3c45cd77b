package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Seen is an object that a control plane must have seen: at the resource version,
// or a later one; as deleted where that is empty.
type Seen struct {
	Kind            string `json:"kind"`
	Namespace       string `json:"namespace,omitempty"`
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// unsettled are objects that were changed and that nobody has said yet to be in
// force: what was noted last of each, under the object without a version. It outlives
// an Apply that fails, so that the next one waits for what that one has changed.
type unsettled map[Seen]Seen

func (u unsettled) note(s Seen) {
	key := s
	key.ResourceVersion = ""
	u[key] = s
}

// settle waits until every proxy follows what was changed.
func (t *Target) settle(ctx context.Context) error {
	if err := t.settled(ctx); err != nil {
		return err
	}
	clear(t.unsettled)
	return nil
}

func (t *Target) settled(ctx context.Context) error {
	if len(t.unsettled) == 0 {
		return nil
	}
	if c := t.options.Profile.Settled.Controller; c != nil {
		return t.settleController(ctx, c, slices.Collect(maps.Values(t.unsettled)))
	}
	timer := time.NewTimer(time.Duration(t.options.Profile.Settled.Seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settleController asks every replica of the controller until it has seen what was
// changed, and its proxies have acknowledged what that means.
func (t *Target) settleController(ctx context.Context, c *ControllerSettled, changed []Seen) error {
	body, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	return eventually(ctx, "every proxy follows", func() (string, error) {
		pods, err := t.core.CoreV1().Pods(t.options.Profile.Namespace).List(ctx, metav1.ListOptions{LabelSelector: c.Selector})
		if err != nil {
			return "", err
		}
		asked := 0
		var lack []string
		for i := range pods.Items {
			p := &pods.Items[i]
			if p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodRunning {
				continue
			}
			asked++
			if l := t.ask(ctx, p, c.Port, body); l != "" {
				lack = append(lack, p.Name+": "+l)
			}
		}
		if asked == 0 {
			return "no controller runs", nil
		}
		return strings.Join(lack, "; "), nil
	})
}

// maxLack bounds what is read of an answer, in bytes.
const maxLack = 4 << 10

// ask returns what a controller says that is lacking, "" where nothing is.
func (t *Target) ask(ctx context.Context, pod *corev1.Pod, port int, body []byte) string {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return t.forward.Dial(ctx, pod.Namespace, pod.Name, port)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://controller/debug/settled", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	response, err := client.Do(request)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return "the run was ended"
		}
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxLack))
	switch {
	case err != nil:
		return err.Error()
	case response.StatusCode != http.StatusOK:
		return fmt.Sprintf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return ""
}
