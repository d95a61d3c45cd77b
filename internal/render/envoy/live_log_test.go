package envoy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

// logService collects the tags of what proxies log.
type logService struct {
	alsv3.UnimplementedAccessLogServiceServer
	address string
	mu      sync.Mutex
	records []map[string]string
}

func newLogService(t *testing.T) *logService {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &logService{address: listener.Addr().String()}
	server := grpc.NewServer()
	alsv3.RegisterAccessLogServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s
}

func (s *logService) StreamAccessLogs(in grpc.ClientStreamingServer[alsv3.StreamAccessLogsMessage, alsv3.StreamAccessLogsResponse]) error {
	for {
		message, err := in.Recv()
		if err != nil {
			return err
		}
		for _, e := range message.GetHttpLogs().GetLogEntry() {
			s.add(e.GetCommonProperties(), fmt.Sprint(e.GetResponse().GetResponseCode().GetValue()))
		}
		for _, e := range message.GetTcpLogs().GetLogEntry() {
			s.add(e.GetCommonProperties(), "tcp")
		}
	}
}

// add keeps what the agent would read: the tags, and of requests what the RBAC
// filter decided.
func (s *logService) add(common *datav3.AccessLogCommon, code string) {
	record := map[string]string{"code": code}
	rbac := common.GetMetadata().GetFilterMetadata()[rbacMetadata].GetFields()
	for name, field := range map[string]string{TagGrant: "enforced_effective_policy_id", TagAudit: "shadow_effective_policy_id"} {
		if v := rbac[field].GetStringValue(); v != "" {
			record[name] = v
		}
	}
	for k, v := range common.GetCustomTags() {
		if v != "-" {
			record[k] = v
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, record)
}

// has tells whether a record has all of the values. An empty value means that
// the tag must not be there.
func (s *logService) has(want map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, record := range s.records {
		same := true
		for k, v := range want {
			same = same && record[k] == v
		}
		if same {
			return nil
		}
	}
	return fmt.Errorf("no record has %v, but there are %v", want, s.records)
}

func TestAccessLog(t *testing.T) {
	eachEnvoy(t, 220, func(t *testing.T, binary string, address func(mesh.Account) string) {
		logs := newLogService(t)
		w := &town{mode: mesh.Strict, grants: webGrants(), address: address, logs: logs.address}
		l := startLive(t, binary, w, Options{}, ledger, canary, web, cart)
		wantReply(t, l.byProxy(t, web), "GET", "http://ledger.bank/accounts", reply{status: 200, app: "ledger"})
		wantReply(t, l.byProxy(t, web), "GET", "http://ledger.bank/beta", reply{status: 200, app: "canary"})
		wantReply(t, l.byProxy(t, web), "GET", "http://ledger.bank/no", reply{status: 403})
		wantReply(t, l.byProxy(t, cart), "GET", "http://ledger.bank/", reply{status: 403})
		c := l.upstream(t, web, "db")
		wantRead(t, c, "hello\n")
		wantEcho(t, c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wantClosed(t, l.upstream(t, cart, "db"))
		wantClosed(t, l.dial(t, canary, "other.smi", portTCP))

		me, you := string(principal(web)), string(principal(ledger))
		for _, want := range []map[string]string{
			{"code": "200", TagSide: "server", TagSource: me, TagGrant: "bank/web-reads"},
			{"code": "403", TagSide: "server", TagSource: me, TagGrant: Denied},
			{"code": "200", TagSide: "client", TagSource: me, TagDestination: you, TagWorkload: "ledger", TagPod: "ledger-0", TagService: "bank/ledger:80", TagBackend: "bank/ledger:80", TagSplit: "bank/weights", TagGrant: ""},
			{"code": "200", TagSide: "client", TagDestination: string(principal(canary)), TagService: "bank/ledger:80", TagBackend: "bank/canary:80", TagSplit: "bank/beta"},
			{"code": "403", TagSide: "client", TagSource: string(principal(cart)), TagGrant: Denied},
			{"code": "tcp", TagSide: "client", TagSource: me, TagDestination: you, TagService: "bank/db:5432", TagBackend: "bank/db:5432", TagGrant: ""},
			{"code": "tcp", TagSide: "client", TagSource: string(principal(cart)), TagService: "bank/db:5432", TagGrant: Denied},
			{"code": "tcp", TagSide: "server", TagSource: me, TagGrant: "bank/web-connects"},
			{"code": "tcp", TagSide: "server", TagSource: string(principal(canary)), TagGrant: Denied},
		} {
			envoytest.Eventually(t, patience, func() error { return logs.has(want) })
		}
		// What the proxy hands on must not be counted twice.
		if err := logs.has(map[string]string{TagSide: "client", TagSource: string(principal(cart)), TagGrant: ""}); err == nil {
			t.Error(errors.New("a request that was handed on inside the proxy was logged as one of its own"))
		}
		l.accepted(t)
	})
}

// AC-16: what strict mode would deny is told, and served.
func TestAuditLog(t *testing.T) {
	eachEnvoy(t, 232, func(t *testing.T, binary string, address func(mesh.Account) string) {
		logs := newLogService(t)
		w := &town{mode: mesh.Audit, grants: webGrants(), address: address, logs: logs.address}
		l := startLive(t, binary, w, Options{}, ledger)
		for _, a := range []mesh.Account{web, canary} {
			wantReply(t, l.direct(t, a, SourceName(principal(a))), "GET", l.url(ledger, portHTTP, "/accounts"), reply{status: 200, app: "ledger"})
			c := l.dial(t, a, SourceName(principal(a)), portTCP)
			wantRead(t, c, "hello\n")
			wantEcho(t, c)
			_ = c.Close()
		}
		for _, want := range []map[string]string{
			{"code": "200", TagSource: string(principal(web)), TagAudit: "bank/web-reads", TagGrant: ""},
			{"code": "200", TagSource: string(principal(canary)), TagAudit: Denied, TagGrant: ""},
			{"code": "tcp", TagSource: string(principal(web)), TagAudit: "bank/web-connects", TagGrant: ""},
			{"code": "tcp", TagSource: string(principal(canary)), TagAudit: Denied, TagGrant: ""},
		} {
			want[TagSide] = "server"
			envoytest.Eventually(t, patience, func() error { return logs.has(want) })
		}
	})
}
