//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestRollouts replaces the pods of the application while they are under load. No
// call may fail.
func TestRollouts(t *testing.T) {
	l := here.underLoad(t, "e2e-rollouts")
	t.Run("the server", func(t *testing.T) {
		l.during(t, "rolling update of the server", func() { here.restart(t, l.namespace, "server") })
	})
	t.Run("the client", func(t *testing.T) {
		before, err := l.count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ended := l.follow(t)
		here.restart(t, l.namespace, "load")
		old := ended()
		l.find(t)
		fresh, err := l.count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		served, failed := old.served-before.served+fresh.served, old.failed-before.failed+fresh.failed
		t.Logf("rolling update of the client: %d calls served, %d failed", served, failed)
		if failed > 0 {
			t.Errorf("%d calls failed: %v of the old pod, %v of the new one", failed, old.how, fresh.how)
		}
	})
}

// TestStatefulRollout replaces the members of a StatefulSet, one after the other,
// while they are called by their headless Service.
func TestStatefulRollout(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute, as members are replaced one after the other; make e2e-full runs it")
	}
	const ns = "e2e-members"
	here.namespace(t, ns, meshed())
	here.apply(t, workload{namespace: ns, name: "members", headless: true, replicas: 2, args: []string{"-http=8080", "-tcp=9000"}, ports: []string{"http:8080", "tcp:9000"}}.yaml()+
		allow(ns, "members", ns+"/load")+allowPorts(ns, "members", "9000", ns+"/load"))
	here.running(t, ns)
	restart := func(t *testing.T) {
		t.Helper()
		if _, err := here.core.AppsV1().StatefulSets(ns).Patch(t.Context(), "members", types.StrategicMergePatchType, restartedNow(), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		here.running(t, ns)
	}
	t.Run("new connections", func(t *testing.T) {
		l := here.loadOn(t, ns, "tcp://members."+ns+":9000")
		l.during(t, "rolling update of a StatefulSet, new connections", func() { restart(t) })
	})
	t.Run("kept connections", func(t *testing.T) {
		// A member that is going to end asks for the end of the connection while it still
		// serves, and the client chooses anew.
		l := here.loadOn(t, ns, "http://members."+ns+":8080/")
		l.during(t, "rolling update of a StatefulSet, kept connections", func() { restart(t) })
	})
}

// TestEnvoyKilled kills Envoys. The agent of each starts it again; the pods go on,
// and nobody else notices.
func TestEnvoyKilled(t *testing.T) {
	here.needsMachine(t, "the Envoy of a pod is a process of another machine")
	l := here.underLoad(t, "e2e-envoy")
	here.apply(t, workload{namespace: l.namespace, name: "bystander"}.yaml())
	here.running(t, l.namespace)
	t.Run("of a bystander", func(t *testing.T) {
		l.during(t, "Envoy of a bystander killed", func() { here.killEnvoy(t, l.namespace, "bystander") })
	})
	t.Run("of one of two servers", func(t *testing.T) {
		o := l.watch(t, "Envoy of one of two servers killed", func() { here.killEnvoy(t, l.namespace, "server") })
		// One call of each loop can be under way. What comes later finds the other server.
		if o.failed > 2 {
			t.Errorf("%d calls failed: %v", o.failed, o.how)
		}
	})
}

// restart makes new pods of a Deployment, one after the other.
func (c *cluster) restart(t *testing.T, namespace, name string) {
	t.Helper()
	if _, err := c.core.AppsV1().Deployments(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, restartedNow(), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.running(t, namespace)
}

// restartedNow is a patch of what makes pods that makes them anew.
func restartedNow() []byte {
	return fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"e2e/restarted":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
}

// follow reads the log of the load's pod as it is written. What it returns waits for
// the end of the pod and counts all its calls.
func (l *load) follow(t *testing.T) func() outcome {
	t.Helper()
	stream, err := l.c.core.CoreV1().Pods(l.namespace).GetLogs(l.pod, &corev1.PodLogOptions{Container: "sample", Follow: true}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	done := make(chan error, 1)
	go func() {
		defer stream.Close()
		_, err := io.Copy(&log, stream)
		done <- err
	}()
	return func() outcome {
		t.Helper()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatalf("the pod %s has not ended within %s", l.pod, patience)
		}
		if !strings.Contains(log.String(), "msg=stopping") {
			t.Fatalf("the log of %s ended before the pod did", l.pod)
		}
		o, err := countIn(log.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
}

// killEnvoy kills the Envoy in the pod of an application, waits for the next one to
// serve, and sees that the pod has not been restarted.
func (c *cluster) killEnvoy(t *testing.T, namespace, app string) {
	t.Helper()
	pod := c.pod(t, namespace, "app="+app)
	old := envoyOf(t, pod)
	if old == 0 {
		t.Fatalf("no Envoy of %s runs on this machine", pod.Name)
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sidecar has another Envoy", func(context.Context) string {
		if now := envoyOf(t, pod); now == 0 || now == old {
			return "it has none"
		}
		return ""
	})
	c.running(t, namespace)
	now, err := c.core.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(now.Status.InitContainerStatuses, now.Status.ContainerStatuses...) {
		if s.RestartCount > 0 {
			t.Errorf("the container %s of %s was restarted %d times", s.Name, pod.Name, s.RestartCount)
		}
	}
}

// envoyOf is the process of a pod's Envoy on this machine, 0 if there is none. The
// control group of a process names its pod.
func envoyOf(t *testing.T, pod *corev1.Pod) int {
	t.Helper()
	programs, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range programs {
		// A process may end while it is looked at.
		name, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(name)) != "envoy" {
			continue
		}
		dir := filepath.Dir(path)
		group, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil || !strings.Contains(string(group), string(pod.UID)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	return 0
}
