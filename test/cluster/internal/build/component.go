package build

import "path"

// Component is a family of programs that are built from one module.
type Component struct {
	// Name is the folder of the module below components/.
	Name string
	// Programs are the main packages. Those in front are built, and so ready, first.
	Programs []Program
	// Tags are build constraints.
	Tags string
	// Module gives the version that Variables set.
	Module string
	// Variables are set to the version of Module when a program is linked.
	Variables []string
}

// Program is one main package and the file that is made of it.
type Program struct {
	File    string
	Package string
}

// ControlPlane is what API tests need: etcd, kube-apiserver, kubectl.
var ControlPlane = []string{"etcd", "kubernetes"}

// components lists every family, those that take longest first.
var components = []Component{
	{
		Name:      "kubernetes",
		Module:    "k8s.io/kubernetes",
		Programs:  programs("k8s.io/kubernetes/cmd/", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
		Variables: []string{"k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion"},
	},
	{
		Name:     "coredns",
		Module:   "github.com/coredns/coredns",
		Programs: []Program{{File: "coredns", Package: "github.com/coredns/coredns"}},
	},
	{
		Name:     "containerd",
		Module:   "github.com/containerd/containerd/v2",
		Programs: programs("github.com/containerd/containerd/v2/cmd/", "containerd", "containerd-shim-runc-v2", "ctr"),
		Tags:     "no_btrfs,no_zfs,no_devmapper",
	},
	{
		Name:     "etcd",
		Module:   "go.etcd.io/etcd/server/v3",
		Programs: []Program{{File: "etcd", Package: "go.etcd.io/etcd/server/v3"}},
	},
	{
		Name:      "helm",
		Module:    "helm.sh/helm/v4",
		Programs:  programs("helm.sh/helm/v4/cmd/", "helm"),
		Variables: []string{"helm.sh/helm/v4/internal/version.version"},
	},
	{
		Name:   "cni",
		Module: "github.com/containernetworking/plugins",
		Programs: programs("github.com/containernetworking/plugins/plugins/",
			"main/ptp", "main/loopback", "ipam/host-local", "meta/portmap"),
	},
}

// programs names the main packages that end in names below prefix.
func programs(prefix string, names ...string) []Program {
	var out []Program
	for _, name := range names {
		out = append(out, Program{File: path.Base(name), Package: prefix + name})
	}
	return out
}
