package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/smi-project/smi/conformance/driver"
)

// carriers is how many connections During sends over.
const carriers = 6

// During sends the call over and over, on a few connections that stay open, while
// do changes the policy. It expects that each is answered by one of the workloads
// with success, that none fails, and that no connection is closed. Calls are under way before do
// begins and until it has ended, so that no moment of the change goes unseen for
// longer than a call takes.
func (t *T) During(c Call, workloads []string, do func()) {
	stream := &stream{answers: driver.Report{Words: map[string]int{}, Pods: map[string]int{}}, stop: make(chan struct{})}
	client := t.run.driver(c.from)
	var (
		senders sync.WaitGroup
		begun   sync.WaitGroup
	)
	names := make([]string, carriers)
	for i := range names {
		names[i] = fmt.Sprintf("during-%d", i)
		order := t.order(c.On(names[i]))
		begun.Add(1)
		senders.Go(func() {
			stream.run(&begun, func() (*driver.Report, error) { return client.Send(t.ctx, order) })
		})
	}
	begun.Wait()
	ended := func() {
		close(stream.stop)
		senders.Wait()
	}
	func() {
		// What ends the case in do ends the senders too.
		defer ended()
		do()
	}()
	if stream.err != nil {
		t.Fatalf("%s: %v", c, stream.err)
	}
	t.record(c, "all by one of "+strings.Join(workloads, ", ")+", while the policy changes", &stream.answers, stream.wrong(workloads))
	for _, name := range names {
		t.Open(c.from, name)
	}
}

// second is the unit in which API servers tell the age of objects, with what a
// clock that is being corrected may lack of it.
const second = 1100 * time.Millisecond

// Age lets what is applied so far become older than what is applied from now on,
// also where the timestamps are not those of the manifests. It is no wait for a
// mesh: here time is what a rule is about.
func (t *T) Age() {
	timer := time.NewTimer(second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
		t.Fatalf("the case is ended: %v", context.Cause(t.ctx))
	}
}

// stream is what During sends, and what came of it.
type stream struct {
	stop chan struct{}

	mu      sync.Mutex
	answers driver.Report
	failed  string // the first answer that was no success of an application
	err     error
}

// run sends over one connection until the stream is to stop. It tells that it has
// begun when its first answer is there.
func (s *stream) run(begun *sync.WaitGroup, send func() (*driver.Report, error)) {
	first := true
	for {
		got, err := send()
		s.keep(got, err)
		if first {
			begun.Done()
			first = false
		}
		select {
		case <-s.stop:
			return
		default:
			if err != nil {
				return
			}
		}
	}
}

func (s *stream) keep(got *driver.Report, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
		return
	}
	s.answers.Sent += got.Sent
	for word, n := range got.Words {
		s.answers.Words[word] += n
	}
	for pod, n := range got.Pods {
		s.answers.Pods[pod] += n
	}
	if !got.First.Succeeded() && s.failed == "" {
		s.failed = describe(&got.First)
	}
}

// wrong says what was not answered by one of the workloads.
func (s *stream) wrong(workloads []string) string {
	var wrong []string
	answered := 0
	for _, pod := range slices.Sorted(maps.Keys(s.answers.Pods)) {
		answered += s.answers.Pods[pod]
		if !slices.Contains(workloads, pod) {
			wrong = append(wrong, fmt.Sprintf("%s got %d", pod, s.answers.Pods[pod]))
		}
	}
	if failed := s.answers.Sent - answered; failed > 0 {
		wrong = append(wrong, fmt.Sprintf("%d failed, the first with %s", failed, s.failed))
	}
	return strings.Join(wrong, "; ")
}
