//go:build linux

package live_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestUnderLoad runs one load after the other: two at once would measure each
// other.
func TestUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("weights", changeWeightsUnderLoad)
	t.Run("rotation", rotateUnderLoad)
	t.Run("roots", rotateRootsUnderLoad)
}

// load is an open-loop generator: every operation has its moment, whatever has
// become of those before it. One that cannot be done at its moment is done
// late, and none is left out, so that a mesh which stalls cannot hide it.
type load struct {
	lanes []*lane
	start time.Time
	// until ends the load, as a time after its start; 0 while it goes on.
	until   atomic.Int64
	stopped chan struct{}
	// abandoned tells lanes to leave what they are late with.
	abandoned chan struct{}
	running   sync.WaitGroup
}

// lane is a sequence of operations at equal distances, done by one goroutine.
type lane struct {
	kind         string
	first, every time.Duration
	do           func() (backend string, err error)
	samples      []sample
	undone       int
}

// sample is one operation; times are after the start of the load.
type sample struct {
	due, sent, done time.Duration
	backend         string
	err             error
}

// add spreads a rate per second over lanes, each with an operation of its own.
func (l *load) add(kind string, perSecond float64, lanes int, operation func(i int) func() (string, error)) {
	every := time.Duration(float64(lanes) / perSecond * float64(time.Second))
	for i := range lanes {
		l.lanes = append(l.lanes, &lane{
			kind: kind, first: every * time.Duration(i) / time.Duration(lanes), every: every, do: operation(i),
			samples: make([]sample, 0, 1024),
		})
	}
}

// run starts the lanes.
func (l *load) run() {
	l.stopped, l.abandoned, l.start = make(chan struct{}), make(chan struct{}), time.Now()
	for _, n := range l.lanes {
		l.running.Go(func() { l.drive(n) })
	}
}

func (l *load) now() time.Duration { return time.Since(l.start) }

func (l *load) drive(n *lane) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	stopped := l.stopped
	for due := n.first; ; due += n.every {
		for {
			until := time.Duration(l.until.Load())
			if until != 0 && due >= until {
				return
			}
			wait := due - l.now()
			if wait <= 0 {
				break
			}
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-stopped:
				stopped = nil
			}
		}
		select {
		case <-l.abandoned:
			n.undone++
			continue
		default:
		}
		s := sample{due: due, sent: l.now()}
		s.backend, s.err = n.do()
		s.done = l.now()
		n.samples = append(n.samples, s)
	}
}

// catchUp is how long a load may go on after its end with what it is late with.
const catchUp = 30 * time.Second

// stop ends the load, and returns how long it was once everything is done that
// was due.
func (l *load) stop() time.Duration {
	took := l.now()
	l.until.Store(int64(took))
	close(l.stopped)
	late := time.AfterFunc(catchUp, func() { close(l.abandoned) })
	l.running.Wait()
	late.Stop()
	return took
}

// atLeast is the rate of requests per second that a load must reach.
const atLeast = 2000

// report logs the figures and fails the test for every operation that failed,
// and for a machine that could not keep the schedule.
func (l *load) report(t *testing.T, took time.Duration) {
	t.Helper()
	var late, lasted []time.Duration
	count, undone, failed := map[string]int{}, 0, 0
	for _, n := range l.lanes {
		undone += n.undone
		for _, s := range n.samples {
			count[n.kind]++
			late, lasted = append(late, s.sent-s.due), append(lasted, s.done-s.sent)
			if s.err != nil {
				if failed++; failed <= 10 {
					t.Errorf("%s, sent %s after the start: %v", n.kind, s.sent, s.err)
				}
			}
		}
	}
	rate := float64(len(late)) / took.Seconds()
	t.Logf("%d operations in %s (%.0f/s): %v; %d failed", len(late), took.Round(time.Millisecond), rate, count, failed)
	t.Logf("lateness of the generator: %s; an operation took %s", quantiles(late), quantiles(lasted))
	if undone > 0 || rate < atLeast {
		t.Errorf("this machine is too busy for the test, and the mesh is not to blame: %.0f/s were sent and not %d, and %d operations were still due %s after the end",
			rate, atLeast, undone, catchUp)
	}
}

func quantiles(of []time.Duration) string {
	if len(of) == 0 {
		return "none"
	}
	slices.Sort(of)
	at := func(q float64) time.Duration { return of[int(q*float64(len(of)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("median %s, 99%% %s, 99.9%% %s, most %s", at(0.5), at(0.99), at(0.999), at(1))
}

// slowest bounds one operation; what takes longer has failed.
const slowest = 10 * time.Second

// line is a connection that stays. It is opened again only after a failure,
// which was reported then.
type line struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
	backend string
}

// exchange sends and reads over the line, and closes it when that fails.
func (c *line) exchange(request string, read func(*bufio.Reader) (string, error)) (string, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.address, slowest)
		if err != nil {
			return "", err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(slowest))
	_, err := io.WriteString(c.conn, request)
	if err == nil {
		var backend string
		if backend, err = read(c.reader); err == nil {
			return backend, nil
		}
	}
	c.close()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the connection was closed")
	}
	return "", err
}

func (c *line) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// keepAlive asks by HTTP over one connection, which must never be closed.
func keepAlive(address, host string) func() (string, error) {
	c := &line{address: address}
	request := "GET /load HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	return func() (string, error) { return c.exchange(request, readPod) }
}

// readPod returns the pod that answered. An announcement that the connection
// will be closed is a failure.
func readPod(r *bufio.Reader) (string, error) {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "", err
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("status %d: %s", response.StatusCode, strings.TrimSpace(string(body)))
	case response.Close:
		return "", errors.New("the answer announces that the connection is closed")
	}
	_, after, _ := strings.Cut(string(body), `"Pod":"`)
	pod, _, ok := strings.Cut(after, `"`)
	if !ok {
		return "", fmt.Errorf("no application answered this: %s", body)
	}
	return pod, nil
}

const hello = "\x01hello\n"

// heldTCP sends lines over one connection, which must stay with its backend.
func heldTCP(address string) func() (string, error) {
	c := &line{address: address}
	return func() (string, error) {
		pod, err := c.exchange(hello, readLine)
		switch {
		case err != nil:
			return "", err
		case c.backend != "" && pod != c.backend:
			return "", fmt.Errorf("a connection to %s is answered by %s", c.backend, pod)
		}
		c.backend = pod
		return pod, nil
	}
}

// shortTCP opens a connection for each line.
func shortTCP(address string) func() (string, error) {
	return func() (string, error) {
		c := &line{address: address}
		defer c.close()
		return c.exchange(hello, readLine)
	}
}

func readLine(r *bufio.Reader) (string, error) {
	text, err := r.ReadString('\n')
	pod, _, _ := strings.Cut(text, " ")
	return pod, err
}
