package status

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/smi-project/smi/internal/xds"
	"github.com/smi-project/smi/mesh"
)

const domain = "cluster.local"

func name(n string) mesh.Name { return mesh.Name{Namespace: "shop", Name: n} }

// town is a mesh in which web may call cart by the TrafficTarget "web-cart", the
// split "canary" divides what web and till send, and till is granted nothing.
func town() *mesh.Mesh {
	split := &mesh.Split{Name: name("canary")}
	port := &mesh.ServicePort{Service: name("cart"), Number: 80, Splits: []*mesh.Split{split}}
	policy := &mesh.Policy{Account: name("cart"), Grants: []*mesh.Grant{{
		Target: name("web-cart"), Sources: []mesh.Principal{mesh.PrincipalOf(domain, name("web")), "spiffe://elsewhere/a"},
	}}}
	return mesh.New(domain,
		[]*mesh.Service{{Name: name("cart"), Ports: []*mesh.ServicePort{port}}},
		[]*mesh.Workload{
			{ID: "1", Account: name("web"), Reaches: []*mesh.ServicePort{port}},
			{ID: "2", Account: name("cart"), Policy: policy},
			{ID: "3", Account: name("till"), Reaches: []*mesh.ServicePort{port}},
			{ID: "4", Account: name("bank")},
		},
		[]*mesh.Policy{policy}, nil)
}

func TestProgress(t *testing.T) {
	target, canary := refOf("TrafficTarget", name("web-cart")), refOf("TrafficSplit", name("canary"))
	behind := func(account string, pending, rejecting int) *Summary {
		return &Summary{Replica: "one", Behind: []Account{{Name: "shop/" + account, Pending: pending, Rejecting: rejecting, Error: "x"}}}
	}
	for _, test := range []struct {
		name     string
		object   mesh.ObjectRef
		replicas []*Summary
		before   bool
		lag      string
		want     string
	}{
		{"all in sync", target, []*Summary{{Replica: "one"}}, false, "", "done"},
		{"an object that nothing came of", refOf("TrafficTarget", name("none")), nil, false, "", "nothing"},
		{"its destination catches up", target, []*Summary{behind("cart", 1, 0)}, false, "", "pending"},
		{"its source catches up", target, []*Summary{behind("web", 1, 0)}, false, "", "pending"},
		{"somebody else catches up", target, []*Summary{behind("bank", 1, 0)}, false, "", "done"},
		{"it was carried out before", target, []*Summary{behind("cart", 1, 0)}, true, "", "done"},
		{"it was carried out before, and is refused now", target, []*Summary{behind("cart", 0, 1)}, true, "", "rejected"},
		{"another replica's proxies refuse", target, []*Summary{{Replica: "one"}, behind("cart", 0, 1)}, false, "", "rejected"},
		{"who reaches the root of a split", canary, []*Summary{behind("till", 1, 0)}, false, "", "pending"},
		{"who does not", canary, []*Summary{behind("bank", 0, 1)}, false, "", "done"},
		{"a replica that has not seen it", target, nil, false, "controllers have not", "pending"},
		{"more than a summary can list", target, []*Summary{{Replica: "one", Omitted: 3}}, false, "", "pending"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newFleet(town(), test.replicas).progress(test.object, test.lag, test.before)
			got := "done"
			switch {
			case p.Rejected != "":
				got = "rejected"
			case p.Nothing:
				got = "nothing"
			case p.Pending != "":
				got = "pending"
			}
			if got != test.want {
				t.Errorf("%s (%+v), want %s", got, p, test.want)
			}
		})
	}
}

func TestLag(t *testing.T) {
	replicas := []*Summary{
		{Replica: "one", Observed: map[string]string{"TrafficTarget": "100"}},
		{Replica: "two", Observed: map[string]string{"TrafficTarget": "99"}},
		{Replica: "new"},
	}
	for version, want := range map[string]string{
		"98": "controllers have not published it yet: new", "100": "controllers have not published it yet: two, new", "1000": "controllers have not published it yet: one, two, new",
	} {
		if got := lag(replicas, "TrafficTarget", version); got != want {
			t.Errorf("version %s: %q, want %q", version, got, want)
		}
	}
	if got := lag(replicas[:1], "TrafficTarget", "100"); got != "" {
		t.Errorf("%q where all have seen it", got)
	}
}

func TestSummarise(t *testing.T) {
	account := func(node string) mesh.Account {
		if strings.HasPrefix(node, "gone/") {
			return mesh.Account{}
		}
		_, pod, _ := strings.Cut(node, "/")
		return name(strings.TrimRight(pod, "0123456789"))
	}
	got := Summarise("one", map[string]string{"TCPRoute": "5"}, []xds.ProxyStatus{
		{Node: "shop/web1", Connected: true, Synced: true},
		{Node: "shop/web2", Connected: true, Pending: 3},
		{Node: "shop/web3", Connected: true, LastError: "Listener inbound refused:\n\x1b[2Jno\u202e"},
		{Node: "shop/web4", Connected: true, LastError: "another"},
		{Node: "shop/cart1", Connected: true},
		{Node: "shop/cart2"},
		{Node: "gone/web", Connected: true},
	}, account)
	want := &Summary{
		Replica: "one", Observed: map[string]string{"TCPRoute": "5"}, Connected: 6, InSync: 1,
		Behind: []Account{
			{Name: "shop/cart", Pending: 1},
			{Name: "shop/web", Pending: 1, Rejecting: 2, Error: "shop/web3: Listener inbound refused:  [2Jno "},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary differs (-want +got):\n%s", diff)
	}
}

// What is refused is listed before what is on its way, and the rest is counted.
func TestSummaryIsBounded(t *testing.T) {
	var proxies []xds.ProxyStatus
	for i := range maxBehind + 10 {
		proxies = append(proxies, xds.ProxyStatus{Node: fmt.Sprintf("shop/p-%03d", i), Connected: true})
	}
	proxies[len(proxies)-1].LastError = strings.Repeat("x", 10*maxError)
	s := Summarise("one", nil, proxies, func(node string) mesh.Account { return name(strings.TrimPrefix(node, "shop/")) })
	last := s.Behind[len(s.Behind)-1]
	if len(s.Behind) != maxBehind || s.Omitted != 10 || last.Rejecting != 1 || len(last.Error) > maxError {
		t.Errorf("%d listed, %d omitted, the last with %d refusing and a reason of %d bytes", len(s.Behind), s.Omitted, last.Rejecting, len(last.Error))
	}
}

// TestRefusalTellsNoPod has an object say that proxies refuse something, and neither
// which pods nor what these say: its readers may not be allowed to see them.
func TestRefusalTellsNoPod(t *testing.T) {
	f := &fleet{rejected: map[mesh.ObjectRef]string{}, pending: map[mesh.ObjectRef]string{}}
	ref := mesh.ObjectRef{Kind: "TrafficTarget", Namespace: "shop", Name: "buyers"}
	f.note(ref, Account{Name: "bank/ledger", Rejecting: 2, Error: "bank/ledger-0: what its Envoy says"})
	if got := f.rejected[ref]; !strings.Contains(got, "bank/ledger ") || !strings.Contains(got, "(2 of them)") || strings.Contains(got, "ledger-0") || strings.Contains(got, "Envoy says") {
		t.Errorf("the object says %q", got)
	}
}
