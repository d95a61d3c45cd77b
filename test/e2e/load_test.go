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
		allow(namespace, "server", "", namespace+"/load")+
		strings.ReplaceAll(allow(namespace, "server", "9000", namespace+"/load"), "name: server}\nspec: {destination", "name: server-tcp}\nspec: {destination"))
	c.running(t, namespace)
	c.apply(t, workload{namespace: namespace, name: "load", args: []string{
		"-http=8080", "-every=10ms", "-report=1s",
		fmt.Sprintf("-loop=http://server.%s:8080/", namespace),
		fmt.Sprintf("-loop=tcp://server.%s:9000", namespace),
	}}.yaml())
	c.running(t, namespace)
	l := &load{c: c, namespace: namespace, pod: c.pod(t, namespace, "app=load").Name}
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
	return l
}

// outcome counts calls.
type outcome struct {
	served, failed int
	// how are the words of those that failed.
	how map[string]int
}

var summaryLine = regexp.MustCompile(`msg=summary .*statuses="?([^"]*?)"? pods=`)

// count reads the log of the load.
func (l *load) count(ctx context.Context) (outcome, error) {
	text, err := l.c.core.CoreV1().Pods(l.namespace).GetLogs(l.pod, &corev1.PodLogOptions{Container: "sample"}).DoRaw(ctx)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{how: map[string]int{}}
	for _, line := range summaryLine.FindAllStringSubmatch(string(text), -1) {
		for _, word := range strings.Fields(line[1]) {
			at := strings.LastIndexByte(word, ':')
			n, err := strconv.Atoi(word[at+1:])
			if err != nil {
				return outcome{}, fmt.Errorf("the load's log: %q", line[0])
			}
			if status := word[:at]; status == "200" || status == "ok" {
				o.served += n
			} else {
				o.failed += n
				o.how[status] += n
			}
		}
	}
	return o, nil
}

// during does something to the mesh while the load goes on, waits for two seconds'
// worth of calls after it, and expects that none failed.
func (l *load) during(t *testing.T, what string, do func()) {
	t.Helper()
	before, err := l.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do()
	var after outcome
	at := -1
	eventually(t, "the load goes on", func(ctx context.Context) string {
		if after, err = l.count(ctx); err != nil {
			return err.Error()
		}
		if at < 0 {
			at = after.served
		}
		if after.served < at+300 {
			return fmt.Sprintf("%d more calls were served", after.served-at)
		}
		return ""
	})
	t.Logf("%s: %d calls served, %d failed", what, after.served-before.served, after.failed-before.failed)
	if after.failed > before.failed {
		t.Errorf("%s: %d of %d calls failed: %v before, %v after", what, after.failed-before.failed, after.served-before.served, before.how, after.how)
	}
}
