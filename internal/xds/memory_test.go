//go:build !race

package xds_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/smi-project/smi/internal/xds"
)

// fleetVariable makes the test binary be a fleet of proxies instead. They run in
// a process of their own, so that the memory which is measured is the server's.
const fleetVariable = "XDS_TEST_FLEET"

const (
	fleetSize = 300
	// bytesPerProxy is what a connected proxy may cost the server.
	bytesPerProxy = 100_000
)

func TestMain(m *testing.M) {
	if directory := os.Getenv(fleetVariable); directory != "" {
		if err := runFleet(directory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fleetView is about what a sidecar with fifty services has.
func fleetView() *xds.View {
	lines := []string{"Listener inbound@1 outbound@1"}
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("Cluster service-%d.namespace.svc.cluster.local|8080@1", i),
			fmt.Sprintf("ClusterLoadAssignment service-%d.namespace.svc.cluster.local|8080@1", i),
			fmt.Sprintf("RouteConfiguration service-%d.namespace.svc.cluster.local|8080@1", i))
	}
	return view(lines...)
}

// A proxy that is connected by mutual TLS and has its configuration costs the
// server less than 100 kB, its goroutines' stacks included.
func TestMemoryPerProxy(t *testing.T) {
	f := serve(t)
	shared := fleetView()
	views := map[string]*xds.View{}
	ids := make([]string, fleetSize)
	for i := range ids {
		ids[i] = fmt.Sprintf("ns/pod-%d", i)
		views[ids[i]] = shared
	}
	f.Publish(views)
	before := memoryInUse()

	directory := t.TempDir()
	certificate := f.authority.issue(t, "spiffe://cluster.local/ns/ns/sa/pod")
	for name, content := range map[string][]byte{
		"ca.crt": certificatePEM(f.authority.cert.Raw), "tls.crt": certificatePEM(certificate.Certificate[0]),
		"tls.key": keyPEM(t, certificate), "address": []byte(f.address),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fleet := exec.Command(must(os.Executable()))
	fleet.Env = append(os.Environ(), fleetVariable+"="+directory)
	fleet.Stderr = os.Stderr
	stdin, stdout := must(fleet.StdinPipe()), must(fleet.StdoutPipe())
	if err := fleet.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = fleet.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("the fleet did not come up: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.Wait(ctx, ids...); err != nil {
		t.Fatal(err)
	}
	each := (int(memoryInUse()) - int(before)) / fleetSize
	t.Logf("%d bytes for each connected proxy", each)
	if each > bytesPerProxy {
		t.Errorf("a connected proxy costs %d bytes, want at most %d", each, bytesPerProxy)
	}
}

func memoryInUse() uint64 {
	var stats runtime.MemStats
	for range 3 { // finalizers and pools need more than one cycle
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse + stats.StackInuse
}

// runFleet connects all proxies, says so, and stays until its input ends.
func runFleet(directory string) error {
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join(directory, name))) }
	certificate, err := tls.X509KeyPair(read("tls.crt"), read("tls.key"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read("ca.crt"))
	config := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool, MinVersion: tls.VersionTLS13})
	var ready sync.WaitGroup
	failures := make(chan error, fleetSize)
	for i := range fleetSize {
		ready.Add(1)
		connection, err := grpc.NewClient("passthrough:///"+string(read("address")), grpc.WithTransportCredentials(config))
		if err != nil {
			return err
		}
		go func() {
			if err := runProxy(connection, fmt.Sprintf("ns/pod-%d", i), sync.OnceFunc(ready.Done)); err != nil {
				failures <- err
			}
		}()
	}
	done := make(chan struct{})
	go func() { ready.Wait(); close(done) }()
	select {
	case <-done:
	case err := <-failures:
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// runProxy subscribes to everything that it hears of and acknowledges it.
func runProxy(connection *grpc.ClientConn, node string, ready func()) error {
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).DeltaAggregatedResources(context.Background())
	if err != nil {
		return err
	}
	send := func(kind, nonce string, names ...string) {
		if err == nil {
			err = stream.Send(&discovery.DeltaDiscoveryRequest{
				Node: &corev3.Node{Id: node}, TypeUrl: typeURLs[kind], ResponseNonce: nonce, ResourceNamesSubscribe: names,
			})
		}
	}
	send("Cluster", "")
	send("Listener", "")
	for err == nil {
		var response *discovery.DeltaDiscoveryResponse
		if response, err = stream.Recv(); err != nil {
			break
		}
		kind := response.GetTypeUrl()[strings.LastIndexByte(response.GetTypeUrl(), '.')+1:]
		send(kind, response.GetNonce())
		var names []string
		for _, r := range response.GetResources() {
			names = append(names, r.GetName())
		}
		switch kind {
		case "Cluster":
			send("ClusterLoadAssignment", "", names...)
			send("RouteConfiguration", "", names...)
		case "RouteConfiguration":
			ready()
		}
	}
	return err
}
