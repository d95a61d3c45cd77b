package netlab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const flagNoDAD = syscall.IFA_F_NODAD

// Namespace is a network namespace, and its addresses.
type Namespace struct {
	Name       string
	IPv4, IPv6 netip.Addr
	file       *os.File
}

func newNamespace(tb testing.TB, name string, v4, v6 netip.Addr) *Namespace {
	tb.Helper()
	n := &Namespace{Name: name, IPv4: v4, IPv6: v6}
	done := make(chan error)
	go func() {
		// The thread is never unlocked, and so ends with the goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		done <- err
	}()
	if err := <-done; err != nil {
		tb.Fatalf("network namespace %s: %v", name, err)
	}
	tb.Cleanup(func() { _ = n.file.Close() })
	return n
}

// Do runs a function in the namespace, on a thread of its own. Sockets that it
// opens stay in the namespace, processes that it starts run there.
func (n *Namespace) Do(run func() error) error { return n.DoAs(0, run) }

// DoAs is Do with sockets that belong to that user.
func (n *Namespace) DoAs(user int, run func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err == nil && user != 0 {
			_, err = unix.SetfsuidRetUid(user)
		}
		if err == nil {
			err = run()
		}
		done <- err
	}()
	return <-done
}

// DoWithoutCapabilities is Do on a thread that has no capability.
func (n *Namespace) DoWithoutCapabilities(run func() error) error {
	return n.Do(func() error {
		none := [2]unix.CapUserData{}
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			return err
		}
		return run()
	})
}

// Must is Do where nothing may go wrong.
func (n *Namespace) Must(tb testing.TB, run func() error) {
	tb.Helper()
	if err := n.Do(run); err != nil {
		tb.Fatalf("%s: %v", n.Name, err)
	}
}

// Listen opens a TCP listener in the namespace, for the rest of the test.
func (n *Namespace) Listen(tb testing.TB, address string) net.Listener {
	tb.Helper()
	var l net.Listener
	n.Must(tb, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

// ListenUDP opens a UDP socket in the namespace, for the rest of the test.
func (n *Namespace) ListenUDP(tb testing.TB, address string) net.PacketConn {
	tb.Helper()
	var c net.PacketConn
	n.Must(tb, func() (err error) {
		c, err = net.ListenPacket("udp", address)
		return err
	})
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// Dial connects to an address, which is an IP address and a port, from the
// namespace.
func (n *Namespace) Dial(network, address string) (net.Conn, error) {
	return n.DialFrom(Source{}, network, address)
}

// Source says who opens a connection.
type Source struct {
	// User is whose socket it is; root's if 0.
	User int
	// Address is where it comes from; the kernel's choice if nil.
	Address net.IP
}

// DialFrom is Dial by somebody.
func (n *Namespace) DialFrom(from Source, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if from.Address != nil {
		d.LocalAddr = &net.TCPAddr{IP: from.Address}
	}
	var c net.Conn
	err := n.DoAs(from.User, func() (err error) {
		c, err = d.DialContext(context.Background(), network, address)
		return err
	})
	return c, err
}

// Start starts a program in the namespace.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }
