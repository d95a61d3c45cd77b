package envoy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/smi-project/smi/mesh"
)

// crowd is a mesh whose ledger grants each of the sources of those numbers the
// same, on a port that speaks HTTP.
func crowd(mode mesh.Mode, sources ...int) (*mesh.Mesh, []Proxy) {
	g := &mesh.Grant{Target: mesh.Name{Namespace: "bank", Name: "crowd"}, Matches: []*mesh.Match{{Path: "/"}}}
	for _, i := range sources {
		g.Sources = append(g.Sources, member(i))
	}
	var policies []*mesh.Policy
	w := &mesh.Workload{ID: "w", Account: ledger, Mode: mode, Ports: []mesh.InboundPort{{Number: portHTTP, Protocol: mesh.HTTP}}}
	if len(sources) > 0 {
		policies = []*mesh.Policy{{Account: ledger, Grants: []*mesh.Grant{g}}}
		w.Policy = policies[0]
	}
	return mesh.New(testDomain, nil, []*mesh.Workload{w}, policies, nil),
		[]Proxy{{Node: "ledger", Workload: w, Placement: Placement{SidecarAddress: "127.1.0.1", AppAddress: "127.2.0.1"}}}
}

func member(i int) mesh.Principal {
	return principal(mesh.Account{Namespace: "shop", Name: fmt.Sprintf("s%05d", i)})
}

func numbers(from, to int) []int {
	var all []int
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// chainsOf tells, per server name, the name of the chain and of its rules.
func chainsOf(t *testing.T, m *mesh.Mesh, proxies []Proxy, epochs Epochs) (chains map[string][2]string, rules map[string]string) {
	t.Helper()
	resources := New(Options{}).Render(m, proxies, epochs)["ledger"]
	rules = map[string]string{}
	for _, r := range resources {
		if strings.HasPrefix(r.Name, "access|") {
			config := &corev3.TypedExtensionConfig{}
			if err := proto.Unmarshal(r.Bytes(), config); err != nil || config.Name != r.Name {
				t.Fatalf("%s: %v, %s", r.Name, err, config.GetName())
			}
			rules[r.Name] = string(config.TypedConfig.Value)
		}
	}
	l := &listenerv3.Listener{}
	if err := proto.Unmarshal(find(t, resources, "Listener", inboundName(portHTTP)).Bytes(), l); err != nil {
		t.Fatal(err)
	}
	chains = map[string][2]string{}
	for _, c := range l.FilterChains {
		manager := &hcmv3.HttpConnectionManager{}
		if err := proto.Unmarshal(c.Filters[1].GetTypedConfig().GetValue(), manager); err != nil {
			t.Fatal(err)
		}
		asked := manager.HttpFilters[1].Name
		if _, ok := rules[asked]; !ok || manager.HttpFilters[1].GetConfigDiscovery() == nil {
			t.Fatalf("chain %s asks %q", c.Name, asked)
		}
		names := append(c.GetFilterChainMatch().GetServerNames(), "")
		chains[names[0]] = [2]string{c.Name, asked}
	}
	return chains, rules
}

// Each source has a chain and rules that are its own, in every mode; what is in
// the rules names nobody else.
func TestChainsHaveRulesOfTheirOwn(t *testing.T) {
	for _, mode := range []mesh.Mode{mesh.Strict, mesh.Audit, mesh.Permissive} {
		m, proxies := crowd(mode, numbers(0, 200)...)
		chains, rules := chainsOf(t, m, proxies, Epochs{})
		for i := range 200 {
			name := SourceName(member(i))
			own := "access|8080|" + name[:sourceLabel]
			if chains[name][1] != own {
				t.Fatalf("%s: the chain of %s asks %q", mode, name, chains[name][1])
			}
			for j := range 200 {
				if strings.Contains(rules[own], sourceKey(member(j))) != (i == j && mode != mesh.Permissive) {
					t.Fatalf("%s: the rules of source %d know source %d or not", mode, i, j)
				}
			}
			if mode != mesh.Permissive && !strings.Contains(rules["access|8080"], sourceKey(member(i))) {
				t.Errorf("%s: source %d cannot use a connection that is older than its grant", mode, i)
			}
		}
		if len(rules) != 201 {
			t.Errorf("%s: %d rules", mode, len(rules))
		}
	}
}

// A withdrawal renames the source's chain, and that of those without a grant.
// The chain stays when nothing is left, so that what is open in it is denied.
// Where nothing is enforced, nothing is closed.
func TestWithdrawalRenamesOneChain(t *testing.T) {
	for _, mode := range []mesh.Mode{mesh.Strict, mesh.Audit} {
		m, proxies := crowd(mode, numbers(0, 200)...)
		before, rulesBefore := chainsOf(t, m, proxies, Epochs{})
		m, proxies = crowd(mode, numbers(1, 200)...)
		after, rules := chainsOf(t, m, proxies, Epochs{}.Bump(ledger, portHTTP, member(0)))
		var renamed []string
		for name, c := range before {
			if after[name] != c {
				renamed = append(renamed, name)
			}
		}
		slices.Sort(renamed)
		if want := []string{"", SourceName(member(0))}; mode == mesh.Strict && !slices.Equal(renamed, want) || mode == mesh.Audit && len(renamed) > 0 || len(after) != len(before) {
			t.Errorf("%s: %q were renamed", mode, renamed)
		}
		var changed []string
		for name, r := range rulesBefore {
			if rules[name] != r {
				changed = append(changed, name)
			}
		}
		slices.Sort(changed)
		if want := []string{"access|8080", before[SourceName(member(0))][1]}; !slices.Equal(changed, want) {
			t.Errorf("%s: rules %q changed, want %q", mode, changed, want)
		}
		if strings.Contains(rules[changed[1]], string(member(0))) {
			t.Errorf("%s: who has lost everything still has a rule", mode)
		}
	}
}

// Above the bound, those that come later share chains. Nobody moves who has
// something, whoever comes and goes.
func TestManySourcesShareChains(t *testing.T) {
	var last *mesh.Mesh
	epochs := Epochs{}
	step := func(lost []mesh.Principal, sources ...int) map[string][2]string {
		m, proxies := crowd(mesh.Strict, sources...)
		if lost != nil {
			epochs = epochs.Bump(ledger, portHTTP, lost...)
		}
		epochs = epochs.Seat(last, m)
		last = m
		chains, _ := chainsOf(t, m, proxies, epochs)
		return chains
	}
	wantSame := func(what string, before, after map[string][2]string, but ...string) {
		t.Helper()
		for name, c := range before {
			if now, ok := after[name]; (!ok || now != c) != slices.Contains(but, name) {
				t.Errorf("%s: chain %s was %v and is %v", what, name, c, now)
			}
		}
	}
	bucket := func(i int) string { return "*." + bucketOf(SourceName(member(i))) + ".smi" }
	const most = maxSourceChains

	full := step(nil, numbers(10, 10+most)...)
	if len(full) != most+1 {
		t.Errorf("%d chains for %d sources", len(full), most)
	}
	// Those before the others in every order come last.
	crowded := step(nil, numbers(0, 10+most)...)
	wantSame("ten more", full, crowded)
	for i := range 10 {
		if c := crowded[bucket(i)]; c[1] != "access|8080|"+bucketOf(SourceName(member(i))) {
			t.Errorf("source %d is in chain %v", i, c)
		}
	}
	lost := step([]mesh.Principal{member(3)}, append(numbers(0, 3), numbers(4, 10+most)...)...)
	wantSame("a source that shares is gone", crowded, lost, bucket(3), "")
	left := step([]mesh.Principal{member(20)}, append(numbers(0, 3), append(numbers(4, 20), numbers(21, 10+most)...)...)...)
	wantSame("a source with a chain is gone", lost, left, SourceName(member(20)), "")
	came := step(nil, append(numbers(0, 3), append(numbers(4, 20), numbers(21, 11+most)...)...)...)
	wantSame("its place is taken", left, came, SourceName(member(20)))
	if _, ok := came[SourceName(member(10+most))]; !ok || len(came) != len(left) {
		t.Error("the place of a source that has nothing was not given away")
	}
	if again := step(nil, append(numbers(0, 3), append(numbers(4, 20), numbers(21, 11+most)...)...)...); !maps.Equal(again, came) {
		t.Error("chains changed and no source did")
	}
}

// Without a history the bound holds all the same.
func TestBoundWithoutHistory(t *testing.T) {
	m, proxies := crowd(mesh.Strict, numbers(0, 3000)...)
	first, _ := chainsOf(t, m, proxies, Epochs{})
	if len(first) > maxSourceChains+256+1 {
		t.Errorf("%d chains", len(first))
	}
	if seated, _ := chainsOf(t, m, proxies, Epochs{}.Seat(nil, m)); !maps.Equal(first, seated) {
		t.Error("the first mesh is not as one without a history")
	}
	for i := range 3000 {
		name := SourceName(member(i))
		if _, own := first[name]; !own && first["*."+bucketOf(name)+".smi"][1] != "access|8080|"+bucketOf(name) {
			t.Fatalf("source %d has no chain", i)
		}
	}
}

// Whoever comes and goes: the bound holds, and nobody moves who has something.
func TestNobodyMoves(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	granted := map[int]bool{}
	var last *mesh.Mesh
	epochs := Epochs{}
	for step := range 60 {
		before := maps.Clone(granted)
		var lost []mesh.Principal
		for range random.IntN(300) {
			if i := random.IntN(2500); !granted[i] {
				granted[i] = true
			} else if random.IntN(2) == 0 || step > 40 {
				delete(granted, i)
			}
		}
		for i := range before {
			if !granted[i] {
				lost = append(lost, member(i))
			}
		}
		m, proxies := crowd(mesh.Strict, slices.Sorted(maps.Keys(granted))...)
		was := epochs.port(ledger, portHTTP)
		epochs = epochs.Bump(ledger, portHTTP, lost...).Seat(last, m)
		now := epochs.port(ledger, portHTTP)
		for i := range before {
			if granted[i] && (was.shares(member(i)) != now.shares(member(i)) || was.of(member(i)) != now.of(member(i))) {
				t.Fatalf("step %d: source %d has moved", step, i)
			}
		}
		last = m
		w := proxies[0].Workload
		chains := buildSpread(nil, spreadInputs{buildPortGrants(nil, portGrantsInputs{policy: w.Policy, port: portHTTP}), now}).chains
		own, served := 0, 0
		for _, c := range chains {
			if len(c.label) == sourceLabel {
				own++
			}
			for _, s := range c.sources {
				if now.shares(s.principal) != (len(c.label) == bucketLabel) {
					t.Fatalf("step %d: %s is in chain %s", step, s.principal, c.label)
				}
			}
			served += len(c.sources)
		}
		if own > maxSourceChains || served != len(granted) {
			t.Fatalf("step %d: %d sources have %d chains of their own and %d are in any", step, len(granted), own, served)
		}
	}
	if len(granted) < maxSourceChains {
		t.Errorf("only %d sources at the end", len(granted))
	}
}
