package accesslog

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/smi-project/smi/mesh"
)

var (
	ledger = mesh.Account{Namespace: "bank", Name: "ledger"}
	web    = mesh.Account{Namespace: "shop", Name: "web"}
	local  = Local{TrustDomain: "cluster.local", Pod: mesh.Name{Namespace: "bank", Name: "ledger-0"}, Account: ledger, Workload: "ledger"}
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

const (
	ledgerID = mesh.Principal("spiffe://cluster.local/ns/bank/sa/ledger")
	webID    = mesh.Principal("spiffe://cluster.local/ns/shop/sa/web")
)

// common is what an entry has when its tags are these.
func common(tags map[string]string) *datav3.AccessLogCommon {
	return &datav3.AccessLogCommon{
		StartTime: timestamppb.New(start), Duration: durationpb.New(30 * time.Millisecond), CustomTags: tags,
		UpstreamCluster: "app", UpstreamRemoteAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "::1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 8080},
		}}},
	}
}

func peerTLS(uris ...string) *datav3.TLSProperties {
	var sans []*datav3.TLSProperties_CertificateProperties_SubjectAltName
	for _, u := range uris {
		sans = append(sans, &datav3.TLSProperties_CertificateProperties_SubjectAltName{
			San: &datav3.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: u},
		})
	}
	return &datav3.TLSProperties{PeerCertificateProperties: &datav3.TLSProperties_CertificateProperties{SubjectAltName: sans}}
}

func metadata(t testing.TB, filter string, fields map[string]any) *corev3.Metadata {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{filter: s}}
}

func TestServersHTTPEntry(t *testing.T) {
	in := &datav3.HTTPAccessLogEntry{
		CommonProperties: common(map[string]string{
			TagSide: "server", TagSource: "spiffe://cluster.local/ns/shop/sa/liar", TagService: "bank/ledger:80", TagGrant: "bank/web-reads", TagBackend: "-",
		}),
		Request: &datav3.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod_GET, Authority: "ledger.bank", Path: "/accounts/7?token=secret", OriginalPath: "/forged",
		},
		Response: &datav3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
	}
	in.CommonProperties.TlsProperties = peerTLS(string(webID))
	want := &Entry{
		Time: start, Duration: 30 * time.Millisecond, Side: Server, Protocol: HTTP,
		Source:      Peer{Principal: webID, Account: web},
		Destination: Peer{Principal: ledgerID, Account: ledger, Workload: "ledger", Pod: "ledger-0"},
		Service:     "bank/ledger:80", Method: "GET", Authority: "ledger.bank", Path: "/accounts/7", Code: 200, GRPCStatus: NoStatus, Grant: "bank/web-reads",
		UpstreamCluster: "app", UpstreamHost: "[::1]:8080",
	}
	if diff := cmp.Diff(want, readHTTP(t, in)); diff != "" {
		t.Error(diff)
	}
}

func TestClientsEntryKnowsBothEnds(t *testing.T) {
	in := &datav3.HTTPAccessLogEntry{CommonProperties: common(map[string]string{
		TagSide: "client", TagDestination: string(webID), TagWorkload: "web", TagPod: "web-3", TagSource: "spiffe://cluster.local/ns/a/sa/b", TagBackend: "shop/web-v2:80", TagSplit: "shop/web",
	})}
	e := readHTTP(t, in)
	if diff := cmp.Diff(Peer{Principal: ledgerID, Account: ledger, Workload: "ledger", Pod: "ledger-0"}, e.Source); diff != "" {
		t.Errorf("source: %s", diff)
	}
	if diff := cmp.Diff(Peer{Principal: webID, Account: web, Workload: "web", Pod: "web-3"}, e.Destination); diff != "" {
		t.Errorf("destination: %s", diff)
	}
	if e.Backend != "shop/web-v2:80" || e.Split != "shop/web" || e.Code != 0 || e.Method != "" {
		t.Errorf("%+v", e)
	}
}

func TestSourceOfAServer(t *testing.T) {
	tag := "spiffe://cluster.local/ns/shop/sa/tagged"
	for name, c := range map[string]struct {
		tls  *datav3.TLSProperties
		tags map[string]string
		want mesh.Principal
	}{
		"certificate first":      {peerTLS(string(webID)), map[string]string{TagSource: tag}, webID},
		"tag without one":        {nil, map[string]string{TagSource: tag}, mesh.Principal(tag)},
		"two names are none":     {peerTLS(string(webID), tag), nil, ""},
		"plaintext (ID-3)":       {nil, map[string]string{TagSource: "-"}, ""},
		"foreign domain (ID-4)":  {peerTLS("spiffe://partner.example/billing"), nil, "spiffe://partner.example/billing"},
		"longer than any SPIFFE": {peerTLS("spiffe://cluster.local/" + strings.Repeat("x", 5000)), nil, mesh.Principal(("spiffe://cluster.local/" + strings.Repeat("x", 5000))[:maxTag])},
	} {
		t.Run(name, func(t *testing.T) {
			in := common(map[string]string{TagSide: "server"})
			for k, v := range c.tags {
				in.CustomTags[k] = v
			}
			in.TlsProperties = c.tls
			if got := readTCP(t, in).Source.Principal; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDenials(t *testing.T) {
	for name, c := range map[string]struct {
		change        func(*datav3.HTTPAccessLogEntry)
		denied, would bool
		grant         string
	}{
		"tag": {func(e *datav3.HTTPAccessLogEntry) { e.CommonProperties.CustomTags[TagGrant] = "denied" }, true, false, "denied"},
		"details": {func(e *datav3.HTTPAccessLogEntry) {
			e.Response = &datav3.HTTPResponseProperties{ResponseCodeDetails: "rbac_access_denied_matched_policy[none]"}
		}, true, false, ""},
		"enforced": {func(e *datav3.HTTPAccessLogEntry) {
			e.CommonProperties.Metadata = metadata(t, rbacFilters[0], map[string]any{"enforced_engine_result": "denied", "enforced_effective_policy_id": "denied"})
		}, true, false, "denied"},
		"allowed": {func(e *datav3.HTTPAccessLogEntry) {
			e.CommonProperties.Metadata = metadata(t, rbacFilters[0], map[string]any{"enforced_engine_result": "allowed", "enforced_effective_policy_id": "bank/web-reads"})
		}, false, false, "bank/web-reads"},
		"audit (AC-16)": {func(e *datav3.HTTPAccessLogEntry) {
			e.CommonProperties.Metadata = metadata(t, rbacFilters[1], map[string]any{"shadow_engine_result": "denied"})
		}, false, true, ""},
		"audit tag":     {func(e *datav3.HTTPAccessLogEntry) { e.CommonProperties.CustomTags[TagAudit] = "denied" }, false, true, ""},
		"audited grant": {func(e *datav3.HTTPAccessLogEntry) { e.CommonProperties.CustomTags[TagAudit] = "bank/web-reads" }, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &datav3.HTTPAccessLogEntry{CommonProperties: common(map[string]string{TagSide: "server"})}
			c.change(in)
			e := readHTTP(t, in)
			if e.Denied != c.denied || e.WouldDeny != c.would || e.Grant != c.grant {
				t.Errorf("denied %t, would deny %t, grant %q; want %t, %t, %q", e.Denied, e.WouldDeny, e.Grant, c.denied, c.would, c.grant)
			}
		})
	}
}

func TestEveryFlagHasAShortForm(t *testing.T) {
	all := &datav3.ResponseFlags{}
	fields := all.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); flagNames[f.Name()] == "" {
			t.Errorf("%s has none", f.Name())
		}
	}
	in := common(nil)
	in.ResponseFlags = &datav3.ResponseFlags{UpstreamConnectionFailure: true, NoHealthyUpstream: true, UnauthorizedDetails: &datav3.ResponseFlags_Unauthorized{}}
	if diff := cmp.Diff([]string{"UH", "UF", "UAEX"}, readTCP(t, in).Flags); diff != "" {
		t.Error(diff)
	}
}

// TM-3.
func TestFailures(t *testing.T) {
	grpcEntry := func(status string) *datav3.HTTPAccessLogEntry {
		return &datav3.HTTPAccessLogEntry{CommonProperties: common(nil), Response: &datav3.HTTPResponseProperties{
			ResponseCode: wrapperspb.UInt32(200), ResponseTrailers: map[string]string{"grpc-status": status},
		}}
	}
	for status, want := range map[string]bool{
		"0": false, "1": false, "2": true, "3": false, "4": true, "5": false, "7": false, "8": false,
		"12": true, "13": true, "14": true, "15": true, "16": false, "": false, "999": false, "-2": false,
	} {
		e := readHTTP(t, grpcEntry(status))
		if e.Protocol != GRPC || e.Failed() != want {
			t.Errorf("grpc-status %q: protocol %s, failed %t; want %t", status, e.Protocol, e.Failed(), want)
		}
	}
	for code, want := range map[int]bool{0: false, 200: false, 404: false, 499: false, 500: true, 503: true} {
		if e := (&Entry{Protocol: HTTP, Code: code, GRPCStatus: NoStatus}); e.Failed() != want {
			t.Errorf("HTTP %d: failed %t", code, !want)
		}
	}
	for flag, want := range map[string]bool{"UF": true, "UH": true, "DC": false, "UC": false} {
		if e := (&Entry{Protocol: TCP, Flags: []string{"DI", flag}, GRPCStatus: NoStatus}); e.Failed() != want {
			t.Errorf("TCP %s: failed %t", flag, !want)
		}
	}
}

// serve runs the service and returns a stream to it.
func serve(t *testing.T, sink Sink) servicev3.AccessLogService_StreamAccessLogsClient {
	t.Helper()
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(ServerOptions()...)
	NewService(local, sink).Register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(func() { cancel(); conn.Close(); server.Stop(); <-done })
	stream, err := servicev3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestServiceTakesEndsOnly(t *testing.T) {
	var mu sync.Mutex
	got := map[Protocol]int{}
	count := SinkFunc(func(e *Entry) {
		mu.Lock()
		defer mu.Unlock()
		got[e.Protocol]++
	})
	stream := serve(t, Tee(count, count))
	var https []*datav3.HTTPAccessLogEntry
	var tcps []*datav3.TCPAccessLogEntry
	for kind := range datav3.AccessLogType_name {
		in := common(map[string]string{TagSide: "server"})
		in.AccessLogType = datav3.AccessLogType(kind)
		https = append(https, &datav3.HTTPAccessLogEntry{CommonProperties: in})
		tcps = append(tcps, &datav3.TCPAccessLogEntry{CommonProperties: in})
	}
	tcps = append(tcps, &datav3.TCPAccessLogEntry{CommonProperties: &datav3.AccessLogCommon{IntermediateLogEntry: true}}, nil) //nolint:staticcheck // what an entry without a type has
	for _, msg := range []*servicev3.StreamAccessLogsMessage{
		{Identifier: &servicev3.StreamAccessLogsMessage_Identifier{LogName: "data"}},
		{LogEntries: &servicev3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &servicev3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: https}}},
		{LogEntries: &servicev3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &servicev3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: tcps[:len(tcps)-1]}}},
	} {
		if err := stream.Send(msg); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	// Each of NotSet, TcpConnectionEnd and DownstreamEnd, once for each sink.
	if diff := cmp.Diff(map[Protocol]int{HTTP: 6, TCP: 6}, got); diff != "" {
		t.Error(diff)
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("%d, %v: %s", w.Code, err, body)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	m := NewMetrics(0)
	entry := Entry{
		Side: Server, Protocol: HTTP, Code: 200, GRPCStatus: NoStatus, Duration: 20 * time.Millisecond,
		Source: Peer{Principal: webID, Account: web}, Destination: local.peer(), Service: "bank/ledger:80", Path: "/never/a/label",
	}
	observe := func(change func(*Entry)) {
		e := entry
		change(&e)
		m.Observe(&e)
	}
	observe(func(*Entry) {})
	observe(func(*Entry) {})
	observe(func(e *Entry) { e.Code = 503 })
	observe(func(e *Entry) { e.Denied, e.Code = true, 403 })
	observe(func(e *Entry) { e.WouldDeny = true })
	observe(func(e *Entry) { e.Protocol, e.GRPCStatus = GRPC, 14 })
	observe(func(e *Entry) { e.Protocol, e.Flags = TCP, []string{"UF"} })
	observe(func(e *Entry) { e.Side = "" })
	observe(func(e *Entry) { e.Source = Peer{Principal: "spiffe://partner.example/billing"}; e.Code = 0 })

	const (
		dest = `destination_account="ledger",destination_namespace="bank",destination_pod="ledger-0",destination_workload="ledger"`
		src  = `side="server",source_account="web",source_namespace="shop",source_pod="",source_workload=""`
	)
	text := scrape(t, m)
	for _, want := range []string{
		`smi_requests_total{backend="",` + dest + `,protocol="http",response_class="2xx",result="success",service="bank/ledger:80",` + src + `} 3`,
		`smi_requests_total{backend="",` + dest + `,protocol="http",response_class="5xx",result="failure",service="bank/ledger:80",` + src + `} 1`,
		`smi_requests_total{backend="",` + dest + `,protocol="grpc",response_class="2xx",result="failure",service="bank/ledger:80",` + src + `} 1`,
		`smi_denied_total{backend="",` + dest + `,enforced="true",protocol="http",service="bank/ledger:80",` + src + `} 1`,
		`smi_denied_total{backend="",` + dest + `,enforced="false",protocol="http",service="bank/ledger:80",` + src + `} 1`,
		`smi_connections_total{backend="",` + dest + `,protocol="tcp",result="failure",service="bank/ledger:80",` + src + `} 1`,
		`smi_request_duration_seconds_bucket{backend="",` + dest + `,protocol="http",service="bank/ledger:80",` + src + `,le="0.025"} 4`,
		`response_class="none",result="success",service="bank/ledger:80",side="server",source_account="spiffe://partner.example/billing",source_namespace=""`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "/never/a/label") {
		t.Error("a path became a label")
	}
}

// A mesh of any size costs a bounded number of series.
func TestMetricsAreBounded(t *testing.T) {
	m := NewMetrics(3)
	for i := range 100 {
		m.Observe(&Entry{
			Side: Server, Protocol: HTTP, Code: 200, GRPCStatus: NoStatus,
			Source: Peer{Account: mesh.Account{Namespace: "n", Name: strings.Repeat("a", i+1)}},
		})
	}
	text := scrape(t, m)
	if n := strings.Count(text, "\nsmi_requests_total{"); n != 4 {
		t.Errorf("%d series; want three edges and the rest", n)
	}
	if !strings.Contains(text, `source_namespace="other",source_pod="other",source_workload="other"} 97`) {
		t.Errorf("the rest is not counted together:\n%s", text)
	}
}

// An application that tries address after address keeps no other edge out.
func TestAddressesTakeNoPlaces(t *testing.T) {
	m := NewMetrics(3)
	for port := range 1000 {
		m.Observe(&Entry{Side: Client, Protocol: TCP, Denied: true, Service: fmt.Sprintf("10.0.0.7:%d", port+1)})
	}
	for _, service := range []string{"shop/a:80", "shop/b:80", "shop/c:80", "shop/d:80"} {
		m.Observe(&Entry{Side: Client, Protocol: TCP, Service: service})
	}
	m.Observe(&Entry{Side: Client, Protocol: TCP, Denied: true, Service: "[fd00::7]:1"})
	text := scrape(t, m)
	if n := strings.Count(text, `service="10.0.0.7:`); n != maxAddressEdges {
		t.Errorf("%d addresses are told apart; want %d", n, maxAddressEdges)
	}
	for _, want := range []string{`service="10.0.0.7:1",`, `service="shop/a:80",`, `service="shop/b:80",`, `service="shop/c:80",`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	for series, want := range map[string]string{"smi_denied_total{": "} 937", "smi_connections_total{": "} 1"} {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
			return strings.HasPrefix(line, series) && strings.Contains(line, `service="other"`) && strings.HasSuffix(line, want)
		}) {
			t.Errorf("the rest of %s...} is not counted together:\n%s", series, text)
		}
	}
}
