package worldgen_test

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	access "github.com/smi-project/smi/api/access/v1alpha4"
	specs "github.com/smi-project/smi/api/specs/v1alpha4"
	split "github.com/smi-project/smi/api/split/v1alpha4"
	"github.com/smi-project/smi/internal/oracle"
	"github.com/smi-project/smi/internal/oracle/worldgen"
)

// slots are two namespaces of pods as a runtime might offer them.
func slots() []worldgen.Slot {
	slot := func(namespace, account, name, version string, ports ...int32) worldgen.Slot {
		return worldgen.Slot{
			Namespace: namespace, ServiceAccount: account, PodName: name, Ports: ports,
			Labels: map[string]string{"app": account, "version": version},
		}
	}
	return []worldgen.Slot{
		slot("shop", "web", "web-0", "v1", 8080, 8081, 9090),
		slot("shop", "web", "web-1", "v2", 8080, 8081, 9090),
		slot("shop", "api", "api-0", "v1", 8080, 8081, 9090, 7000),
		slot("bank", "api", "api-0", "v1", 8080, 8081, 9090),
		slot("bank", "db", "db-0", "v1", 8080, 9090, 7000),
		slot("bank", "web", "web-0", "v2", 8080, 8081, 9090),
	}
}

// flavours are the two kinds of worlds with their requests.
var flavours = map[string]func(seed uint64, n int) (*oracle.World, []oracle.Request){
	"Pure": func(seed uint64, n int) (*oracle.World, []oracle.Request) {
		w := worldgen.Pure(seed)
		return w, worldgen.Requests(seed, w, n)
	},
	"Live": func(seed uint64, n int) (*oracle.World, []oracle.Request) {
		w := worldgen.Live(seed, slots())
		return w, worldgen.LiveRequests(seed, w, n)
	},
}

func TestTheSameSeedGivesTheSameWorldAndRequests(t *testing.T) {
	for name, make := range flavours {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				w1, r1 := make(seed, 20)
				w2, r2 := make(seed, 20)
				if !reflect.DeepEqual(w1, w2) {
					t.Fatalf("seed %d: the worlds differ\n%s\n%s", seed, worldgen.Describe(w1), worldgen.Describe(w2))
				}
				if !reflect.DeepEqual(r1, r2) {
					t.Fatalf("seed %d: the requests differ", seed)
				}
				w3, _ := make(seed+1_000_000, 20)
				if reflect.DeepEqual(w1, w3) {
					t.Fatalf("seeds %d and %d give the same world", seed, seed+1_000_000)
				}
			}
		})
	}
}

// tally counts what became of requests.
type tally map[string]int

func (c tally) count(r oracle.Request, v oracle.Verdict) {
	c["requests"]++
	if v.NoSuchClient || v.NoSuchService || v.NoSuchPort {
		c["nowhere"]++
		return
	}
	allowed := v.AllowedShare()
	for name, share := range map[string]*big.Rat{"allowed": allowed, "denied": v.Denied, "unavailable": v.Unavailable, "bad request": v.BadRequest} {
		if share.Sign() > 0 {
			c[name]++
		}
		if share.Sign() > 0 && share.Cmp(big.NewRat(1, 1)) < 0 {
			c["partly "+name]++
		}
	}
	if v.Split != "" {
		c["split"]++
	}
	if r.HTTP == nil {
		c["TCP"]++
	}
	if r.HTTP == nil && v.Split != "" {
		c["split TCP"]++
	}
	if r.HTTP == nil && allowed.Sign() > 0 {
		c["allowed TCP"]++
	}
	for _, outcome := range v.Outcomes {
		rule, _, _ := strings.Cut(outcome.Because, ":")
		c[rule]++
	}
}

// TestDistribution keeps the worlds interesting: no verdict is rare, and none drowns the others.
func TestDistribution(t *testing.T) {
	bounds := map[string][2]int{ // per thousand requests
		"allowed":        {300, 600},
		"partly allowed": {60, 250},
		"denied":         {300, 650},
		"unavailable":    {40, 150},
		"bad request":    {40, 120},
		"split":          {150, 350},
		"TCP":            {120, 250},
		"allowed TCP":    {20, 120},
		"split TCP":      {15, 80},
		"AC-3":           {200, 600},
		"AC-16":          {50, 300},
		"nowhere":        {0, 60},
		"partly denied":  {60, 250},
	}
	for name, make := range flavours {
		t.Run(name, func(t *testing.T) {
			counts := tally{}
			for seed := range uint64(2000) {
				w, requests := make(seed, 10)
				for _, r := range requests {
					counts.count(r, oracle.Judge(w, r))
				}
			}
			for what, bound := range bounds {
				permille := counts[what] * 1000 / counts["requests"]
				if permille < bound[0] || permille > bound[1] {
					t.Errorf("%s: %d of a thousand requests, want %d to %d", what, permille, bound[0], bound[1])
				}
			}
		})
	}
}

// TestProbabilitiesAddUp: whatever the world, a request ends somewhere, and nowhere twice.
func TestProbabilitiesAddUp(t *testing.T) {
	for name, make := range flavours {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500) {
				w, requests := make(seed, 10)
				for _, r := range requests {
					v := oracle.Judge(w, r)
					if v.NoSuchClient || v.NoSuchService || v.NoSuchPort {
						continue
					}
					sum := v.AllowedShare()
					for _, share := range []*big.Rat{v.Denied, v.Unavailable, v.BadRequest} {
						sum.Add(sum, share)
					}
					if sum.Cmp(big.NewRat(1, 1)) != 0 {
						t.Fatalf("seed %d: %s adds up to %s\n%s\n%s", seed, r, sum.RatString(), v, worldgen.Describe(w))
					}
				}
			}
		})
	}
}

// TestLiveRequestsCanBeSent: from a slot, to a TCP port that exists, where every pod behind it listens.
func TestLiveRequestsCanBeSent(t *testing.T) {
	listens := map[string]bool{}
	for _, slot := range slots() {
		for _, port := range slot.Ports {
			listens[fmt.Sprintf("%s/%s:%d", slot.Namespace, slot.PodName, port)] = true
		}
	}
	for seed := range uint64(500) {
		w := worldgen.Live(seed, slots())
		for _, r := range worldgen.LiveRequests(seed, w, 10) {
			v := oracle.Judge(w, r)
			if v.NoSuchClient || v.NoSuchService || v.NoSuchPort {
				t.Fatalf("seed %d: %s goes nowhere", seed, r)
			}
			for _, outcome := range v.Outcomes {
				if !listens[fmt.Sprintf("%s:%d", outcome.Pod, outcome.Port)] {
					t.Fatalf("seed %d: %s reaches a closed port\n%s\n%s", seed, r, v, worldgen.Describe(w))
				}
			}
		}
	}
}

// TestDescribeIsYAML: what is printed reads back as objects that print and judge the same.
func TestDescribeIsYAML(t *testing.T) {
	for name, make := range flavours {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				w, requests := make(seed, 20)
				text := worldgen.Describe(w)
				read := &oracle.World{Config: w.Config}
				for _, document := range strings.Split(text, "---\n")[1:] {
					readObject(t, read, []byte(document))
				}
				for _, r := range requests {
					if want, got := oracle.Judge(w, r).String(), oracle.Judge(read, r).String(); got != want {
						t.Fatalf("seed %d: %s\n%s\nread back\n%s\n%s", seed, r, want, got, text)
					}
				}
				if again := worldgen.Describe(read); again != text {
					t.Fatalf("seed %d: reads back as something else\n%s\n%s", seed, text, again)
				}
			}
		})
	}
}

func readObject(t *testing.T, w *oracle.World, document []byte) {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		t.Fatalf("no YAML: %v\n%s", err, document)
	}
	switch kind.Kind {
	case "Namespace":
		w.Namespaces = append(w.Namespaces, read[corev1.Namespace](t, document))
	case "ServiceAccount":
		w.ServiceAccounts = append(w.ServiceAccounts, read[corev1.ServiceAccount](t, document))
	case "Pod":
		w.Pods = append(w.Pods, read[corev1.Pod](t, document))
	case "Service":
		w.Services = append(w.Services, read[corev1.Service](t, document))
	case "TrafficTarget":
		w.TrafficTargets = append(w.TrafficTargets, read[access.TrafficTarget](t, document))
	case "IdentityBinding":
		w.IdentityBindings = append(w.IdentityBindings, read[access.IdentityBinding](t, document))
	case "HTTPRouteGroup":
		w.HTTPRouteGroups = append(w.HTTPRouteGroups, read[specs.HTTPRouteGroup](t, document))
	case "TCPRoute":
		w.TCPRoutes = append(w.TCPRoutes, read[specs.TCPRoute](t, document))
	case "UDPRoute":
		w.UDPRoutes = append(w.UDPRoutes, read[specs.UDPRoute](t, document))
	case "TrafficSplit":
		w.TrafficSplits = append(w.TrafficSplits, read[split.TrafficSplit](t, document))
	default:
		t.Fatalf("unknown kind %q", kind.Kind)
	}
}

func read[T any](t *testing.T, document []byte) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return object
}
