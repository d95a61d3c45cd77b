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

// Above the bound all share chains, by nothing but their names. Whoever comes or
// goes changes one chain, and a withdrawal renames it.
func TestManySourcesShareChains(t *testing.T) {
	const many = DefaultSourceChains + 500
	render := func(epochs Epochs, sources ...int) map[string][2]string {
		m, proxies := crowd(mesh.Strict, sources...)
		chains, _ := chainsOf(t, m, proxies, epochs)
		return chains
	}
	bucket := func(i int) string { return "*." + bucketOf(SourceName(member(i))) + ".smi" }
	if full := render(Epochs{}, numbers(0, DefaultSourceChains)...); len(full) != DefaultSourceChains+1 {
		t.Errorf("%d chains for %d sources", len(full), DefaultSourceChains)
	}
	all := render(Epochs{}, numbers(0, many)...)
	if len(all) > 256+1 {
		t.Errorf("%d chains for %d sources", len(all), many)
	}
	for i := range many {
		if c := all[bucket(i)]; c[1] != "access|8080|"+bucketOf(SourceName(member(i))) {
			t.Fatalf("source %d is in chain %v", i, c)
		}
	}
	if fewer := render(Epochs{}, numbers(1, many)...); !maps.Equal(fewer, all) {
		t.Error("chains moved when a source came")
	}
	epochs := Epochs{}.Bump(ledger, portHTTP, member(0))
	for what, sources := range map[string][]int{"all of it": numbers(1, many), "a part": numbers(0, many)} {
		after := render(epochs, sources...)
		var renamed []string
		for name, c := range all {
			if after[name] != c {
				renamed = append(renamed, name)
			}
		}
		slices.Sort(renamed)
		if want := []string{"", bucket(0)}; !slices.Equal(renamed, want) {
			t.Errorf("a source lost %s: %q were renamed, want %q", what, renamed, want)
		}
	}
}

// Whoever comes and goes, each source is in one chain, and no chain asks rules
// that are not there (chainsOf sees to that).
func TestEachSourceIsInOneChain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	epochs, granted := Epochs{}, map[int]bool{}
	for step := range 30 {
		var lost []mesh.Principal
		for range random.IntN(400) {
			i := random.IntN(1500)
			if granted[i] && (step > 20 || random.IntN(3) == 0) {
				delete(granted, i)
				lost = append(lost, member(i))
			} else {
				granted[i] = true
			}
		}
		m, proxies := crowd(mesh.Strict, slices.Sorted(maps.Keys(granted))...)
		if len(lost) > 0 {
			epochs = epochs.Bump(ledger, portHTTP, lost...).Retain(m)
		}
		chains, rules := chainsOf(t, m, proxies, epochs)
		for i := range granted {
			name := SourceName(member(i))
			c, own := chains[name]
			if !own {
				c = chains["*."+bucketOf(name)+".smi"]
			}
			if !strings.Contains(rules[c[1]], sourceKey(member(i))) {
				t.Fatalf("step %d: source %d is in chain %v, whose rules do not know it", step, i, c)
			}
		}
		if most := DefaultSourceChains + maxWithoutGrant + 1; len(chains) > most {
			t.Fatalf("step %d: %d chains", step, len(chains))
		}
	}
}

// What cannot matter any more is forgotten: accounts without pods, and who lost
// the last grant long ago.
func TestEpochsAreBounded(t *testing.T) {
	m, _ := crowd(mesh.Strict, 0, 1)
	epochs := Epochs{}.Bump(mesh.Account{Namespace: "bank", Name: "gone"}, portHTTP, member(0)).Bump(ledger, portHTTP, member(0))
	for i := range 2 * maxWithoutGrant {
		epochs = epochs.Bump(ledger, portHTTP, member(10+i)).Retain(m)
	}
	if len(epochs.accounts) != 1 {
		t.Errorf("%d accounts are remembered", len(epochs.accounts))
	}
	p := epochs.accounts[ledger].port(portHTTP)
	if len(p.last) != maxWithoutGrant+1 {
		t.Errorf("%d sources are remembered", len(p.last))
	}
	if p.of(member(0)) != 1 || p.of(member(10)) != 0 || p.of(member(9+2*maxWithoutGrant)) != p.withdrawals {
		t.Error("others are remembered than those who have something, or lost it last")
	}
}
