package spec

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
)

func cluster(t *testing.T) Cluster {
	t.Helper()
	plan, err := network.Allocate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Cluster{Name: "smi", Plan: plan, Folders: map[string]string{
		"kubernetes": "/cache/kubernetes-1", "etcd": "/cache/etcd-1", "containerd": "/cache/containerd-1", "cni": "/cache/cni-1",
	}}
}

// TestEveryComponentCanStart follows who waits for whom from the beginning.
func TestEveryComponentCanStart(t *testing.T) {
	for _, only := range []bool{false, true} {
		c := cluster(t)
		c.ControlPlaneOnly = only
		ready := map[string]bool{}
		processes := c.Processes()
		for range processes {
			for _, p := range processes {
				can := true
				for _, name := range p.After {
					can = can && ready[name]
				}
				ready[p.Name] = ready[p.Name] || can
			}
		}
		for _, p := range processes {
			if !ready[p.Name] {
				t.Errorf("control plane only %v: %s waits for ever for %v", only, p.Name, p.After)
			}
			if !strings.HasPrefix(p.Path, layout.Node.Cache()+"/") {
				t.Errorf("%s: %s is not what the node sees", p.Name, p.Path)
			}
		}
		if want := map[bool]int{false: 7, true: 2}[only]; len(processes) != want {
			t.Errorf("control plane only %v: %d components, want %d", only, len(processes), want)
		}
	}
}

func TestConfigurationFiles(t *testing.T) {
	folder := layout.Dir(t.TempDir())
	for _, name := range []string{"config", "cni"} {
		if err := os.Mkdir(folder.Join(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster(t).Configure(folder); err != nil {
		t.Fatal(err)
	}
	cni, err := os.ReadFile(folder.Join("cni", "10-cni.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(cni) {
		t.Errorf("the configuration of the pods' network is no JSON:\n%s", cni)
	}
	for file, lines := range map[string][]string{
		folder.Config("kubelet.yaml"): {
			`containerRuntimeEndpoint: unix:///run/smi-cluster/containerd.sock`,
			`clusterDNS: ["10.96.0.10", "fd00:10:96::a"]`,
			`  x509: {clientCAFile: /run/smi-cluster/pki/ca.crt}`,
		},
		folder.Config("kube-proxy.yaml"):   {`clusterCIDR: "10.244.0.0/16,fd00:10:244::/64"`},
		folder.Config("containerd.toml"):   {`address = '/run/smi-cluster/containerd.sock'`, `sandbox = 'localhost/pause:1'`},
		folder.Join("cni/10-cni.conflist"): {`        "ranges": [[{"subnet": "10.244.0.0/24"}], [{"subnet": "fd00:10:244::/64"}]],`},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			if !strings.Contains("\n"+string(text)+"\n", "\n"+line+"\n") {
				t.Errorf("%s lacks the line\n%s\nin\n%s", file, line, text)
			}
		}
	}
}

func TestAddons(t *testing.T) {
	text, err := cluster(t).Addons()
	if err != nil {
		t.Fatal(err)
	}
	if want := `clusterIPs: ["10.96.0.10", "fd00:10:96::a"]`; !strings.Contains(string(text), want) {
		t.Errorf("the name server's Service lacks %s in\n%s", want, text)
	}
}
