package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// target is where requests go, always the same one, which the access rules of
// the bench allow.
type target struct {
	address string
	request []byte
	tls     *tls.Config
}

func get(address, host string) target {
	return target{address: address, request: fmt.Appendf(nil, "GET /items/7 HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", host)}
}

// client is one connection that is kept alive.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func (t target) dial() (*client, error) {
	conn, err := net.DialTimeout("tcp", t.address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if t.tls != nil {
		secured := tls.Client(conn, t.tls)
		if err := secured.Handshake(); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secured
	}
	return &client{conn: conn, reader: bufio.NewReader(conn), request: t.request}, nil
}

func (c *client) send() error {
	_, err := c.conn.Write(c.request)
	return err
}

var contentLength = []byte("content-length:")

// receive reads one response, which must be a 200 with a length.
func (c *client) receive() error {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("the answer is %q", bytes.TrimSpace(line))
	}
	length := 0
	for {
		line, err = c.reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return err
			}
		}
	}
	_, err = io.CopyN(io.Discard, c.reader, int64(length))
	return err
}

// try sends one request on a connection of its own.
func (t target) try() error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	defer c.conn.Close()
	if err := c.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	return errors.Join(c.send(), c.receive())
}

// dialAll opens connections and sends a request on each, so that nothing is cold.
func (t target) dialAll(connections int, until time.Time) ([]*client, error) {
	clients := make([]*client, connections)
	for i := range clients {
		c, err := t.dial()
		if err != nil {
			return nil, err
		}
		clients[i] = c
		if err := errors.Join(c.conn.SetDeadline(until.Add(10*time.Second)), c.send(), c.receive()); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		_ = c.conn.Close()
	}
}

// measured is what became of the requests of one round.
type measured struct {
	// latencies are in seconds; late is how much later than intended each request
	// was sent, which is part of its latency.
	latencies, late sample
	elapsed         time.Duration
}

// openLoop sends requests at a fixed rate, whether or not earlier ones were
// answered. Latency counts from the moment at which a request should have been
// sent, so that a stall counts for every request that it held up.
func (t target) openLoop(ctx context.Context, rate float64, connections int, length time.Duration) (*measured, error) {
	clients, err := t.dialAll(connections, time.Now().Add(length))
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	var (
		total = int(rate * length.Seconds())
		// done has the latency of each request, by its number.
		done   = make([]float64, total)
		idle   = make(chan int, connections)
		queues = make([]chan int, connections)
		failed atomic.Pointer[error]
		all    sync.WaitGroup
	)
	gap := time.Duration(float64(time.Second) / rate)
	begin := time.Now().Add(20 * time.Millisecond)
	for i, c := range clients {
		queues[i] = make(chan int, 1)
		idle <- i
		all.Go(func() {
			for n := range queues[i] {
				if err := c.receive(); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
				done[n] = time.Since(begin.Add(time.Duration(n) * gap)).Seconds()
				idle <- i
			}
		})
	}
	m := &measured{late: make(sample, 0, total)}
	runtime.LockOSThread() // so that sleeping is the kernel's, which is exact
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for n := 0; n < total && failed.Load() == nil && ctx.Err() == nil; n++ {
		intended := begin.Add(time.Duration(n) * gap)
		sleepUntil(intended)
		i := <-idle
		m.late.addTime(time.Since(intended))
		queues[i] <- n
		if err := clients[i].send(); err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	runtime.UnlockOSThread()
	for _, q := range queues {
		close(q)
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	m.latencies, m.elapsed = done, time.Since(begin)
	return m, ctx.Err()
}

// sleepUntil returns at the time, or as soon after it as the kernel can.
func sleepUntil(at time.Time) {
	if left := time.Until(at); left > 0 {
		wait := unix.NsecToTimespec(left.Nanoseconds())
		_ = unix.Nanosleep(&wait, nil)
	}
}

// closedLoop sends the next request on each connection as soon as the last one
// was answered, which shows how much the other side can take.
func (t target) closedLoop(ctx context.Context, connections int, length time.Duration) (*measured, error) {
	until := time.Now().Add(length)
	clients, err := t.dialAll(connections, until)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	var (
		all    sync.WaitGroup
		errs   = make([]error, connections)
		counts = make([]sample, connections)
		begin  = time.Now()
	)
	until = begin.Add(length)
	for i, c := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				sent := time.Now()
				if sent.After(until) {
					return
				}
				if errs[i] = errors.Join(c.send(), c.receive()); errs[i] != nil {
					return
				}
				counts[i].addTime(time.Since(sent))
			}
		})
	}
	all.Wait()
	m := &measured{elapsed: time.Since(begin)}
	for _, c := range counts {
		m.latencies = append(m.latencies, c...)
	}
	return m, errors.Join(append(errs, ctx.Err())...)
}
