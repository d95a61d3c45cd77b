//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// load is a pod that calls Services a hundred times a second each, and logs every
// second how the calls ended. It goes on when the API server does not.
type load struct {
	c         *cluster
	namespace string
	pod       string
}

// underLoad makes a namespace with a server of two replicas and a client that calls it.
func (c *cluster) underLoad(t *testing.T, namespace string) *load {
	t.Helper()
	c.namespace(t, namespace, meshed())
	c.apply(t, workload{namespace: namespace, name: "server", replicas: 2, args: []string{"-http=8080", "-tcp=9000"}, ports: []string{"http:8080", "tcp:9000"}}.yaml()+
		allow(namespace, "server", namespace+"/load")+
		allowPorts(namespace, "server", "9000", namespace+"/load"))
	c.running(t, namespace)
	return c.loadOn(t, namespace, fmt.Sprintf("http://server.%s:8080/", namespace), fmt.Sprintf("tcp://server.%s:9000", namespace))
}

// loadOn starts a client in a namespace that calls those URLs, once they all can be.
func (c *cluster) loadOn(t *testing.T, namespace string, urls ...string) *load {
	t.Helper()
	args := []string{"-http=8080", "-every=10ms", "-report=1s"}
	for _, u := range urls {
		args = append(args, "-loop="+u)
	}
	c.apply(t, workload{namespace: namespace, name: "load", args: args}.yaml())
	c.running(t, namespace)
	l := &load{c: c, namespace: namespace}
	l.find(t)
	return l
}

// find finds the load's pod anew, and waits until its calls are served.
func (l *load) find(t *testing.T) {
	t.Helper()
	l.pod = l.c.pod(t, l.namespace, "app=load").Name
	eventually(t, "the load is served", func(ctx context.Context) string {
		before, err := l.count(ctx)
		if err != nil {
			return err.Error()
		}
		if before.served < 200 {
			return fmt.Sprintf("%d calls were", before.served)
		}
		return ""
	})
}

// outcome counts calls.
type outcome struct {
	served, failed int
	// by is what was served, by what was called.
	by map[string]int
	// how are the words of those that failed.
	how map[string]int
}

var summaryLine = regexp.MustCompile(`msg=summary .*call="([^"]*)" statuses="?([^"]*?)"? pods=`)

// count reads the log of the load.
func (l *load) count(ctx context.Context) (outcome, error) {
	text, err := l.c.core.CoreV1().Pods(l.namespace).GetLogs(l.pod, &corev1.PodLogOptions{Container: "sample"}).DoRaw(ctx)
	if err != nil {
		return outcome{}, err
	}
	return countIn(text)
}

func countIn(log []byte) (outcome, error) {
	o := outcome{by: map[string]int{}, how: map[string]int{}}
	for _, line := range summaryLine.FindAllStringSubmatch(string(log), -1) {
		for _, word := range strings.Fields(line[2]) {
			at := strings.LastIndexByte(word, ':')
			n, err := strconv.Atoi(word[at+1:])
			if err != nil {
				return outcome{}, fmt.Errorf("the load's log: %q", line[0])
			}
			if status := word[:at]; status == "200" || status == "ok" {
				o.served += n
				o.by[line[1]] += n
			} else {
				o.failed += n
				o.how[status] += n
			}
		}
	}
	return o, nil
}

// during does something to the mesh while the load goes on, waits for a second's
// worth of every call after it, and expects that none failed.
func (l *load) during(t *testing.T, what string, do func()) {
	t.Helper()
	if o := l.watch(t, what, do); o.failed > 0 {
		t.Errorf("%s: %d of %d calls failed: %v", what, o.failed, o.served+o.failed, o.how)
	}
}

// watch does as during does, and returns what became of the calls meanwhile.
func (l *load) watch(t *testing.T, what string, do func()) outcome {
	t.Helper()
	before, err := l.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do()
	var at, after outcome
	eventually(t, "the load goes on", func(ctx context.Context) string {
		if after, err = l.count(ctx); err != nil {
			return err.Error()
		}
		if at.by == nil {
			at = after
		}
		// A call that hangs holds up its own loop alone, until it counts as failed.
		for call, n := range before.by {
			if more := after.by[call] - at.by[call]; more < 100 {
				return fmt.Sprintf("%d more of %s were served, after %d", more, call, n)
			}
		}
		return ""
	})
	for how, n := range before.how {
		if after.how[how] -= n; after.how[how] == 0 {
			delete(after.how, how)
		}
	}
	after.served, after.failed = after.served-before.served, after.failed-before.failed
	t.Logf("%s: %d calls served, %d failed %v", what, after.served, after.failed, after.how)
	return after
}

// follows sees that the mesh carries out what is asked of it now: a grant is written,
// taken up by the proxies, told of in its status, and withdrawn.
func (l *load) follows(t *testing.T) {
	t.Helper()
	l.c.apply(t, fmt.Sprintf(`
apiVersion: access.smi-spec.io/v1alpha4
kind: TrafficTarget
metadata: {namespace: %[1]s, name: further}
spec: {destination: {kind: ServiceAccount, name: server}, sources: [{kind: ServiceAccount, namespace: %[1]s, name: load}], rules: [{kind: HTTPRouteGroup, name: server}]}
`, l.namespace))
	l.c.condition(t, "TrafficTarget", l.namespace, "further", "Programmed", "True")
	l.c.removeOne(t, "TrafficTarget", l.namespace, "further")
}
