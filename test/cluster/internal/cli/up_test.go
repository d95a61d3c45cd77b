package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/smi-project/smi/test/cluster/internal/node"
)

func TestUnready(t *testing.T) {
	statuses := []node.Status{
		{Name: "etcd", Phase: node.Ready},
		{Name: "kube-apiserver", Phase: node.Starting},
		{Name: "kubelet", Phase: node.Exited, Reason: "exit status 1"},
		{Name: "kube-proxy", Phase: node.Stopped},
	}
	for _, c := range []struct {
		name string
		// want is the error; ended tells that waiting on is of no use.
		want  string
		ended bool
	}{
		{"etcd", "", false},
		{"kube-apiserver", "kube-apiserver is starting", false},
		{"kubelet", "kubelet is exited (exit status 1); cluster start kubelet starts it", true},
		{"kube-proxy", "kube-proxy is stopped; cluster start kube-proxy starts it", true},
	} {
		err := unready(statuses, []string{c.name})
		var ended endedError
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want || errors.As(err, &ended) != c.ended {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	// The one that has ended, although another one before it is not ready either.
	if err := unready(statuses, nil); err == nil || !strings.HasPrefix(err.Error(), "kubelet is exited") {
		t.Errorf("all of them: got %v", err)
	}
	if err := unready(statuses, []string{"etcd", "kube-apiserver"}); err == nil || err.Error() != "kube-apiserver is starting" {
		t.Errorf("two of them: got %v", err)
	}
}
