package spec

import (
	"github.com/smi-project/smi/test/cluster/internal/pki"
)

// flag writes --name=value.
func flag(name, value string) string { return "--" + name + "=" + value }

func (c Cluster) etcd() Process {
	const url = "http://127.0.0.1:2379"
	return Process{
		Name: "etcd",
		Path: c.program("etcd", "etcd"),
		Args: []string{
			flag("data-dir", dir.Join("etcd")),
			flag("listen-client-urls", url),
			flag("advertise-client-urls", url),
			// What a power cut would lose is of no use after it.
			"--unsafe-no-fsync",
			flag("log-level", "warn"),
		},
		Ready: url + "/readyz",
	}
}

func (c Cluster) apiServer() Process {
	args := []string{
		flag("etcd-servers", "http://127.0.0.1:2379"),
		flag("bind-address", "::"),
		flag("advertise-address", c.Plan.Node.V4.Addr().String()),
		flag("service-cluster-ip-range", c.Plan.Services.String()),
		flag("tls-cert-file", dir.Certificate(pki.Serving)),
		flag("tls-private-key-file", dir.Key(pki.Serving)),
		flag("client-ca-file", dir.Certificate(pki.CA)),
		flag("authorization-mode", "Node,RBAC"),
		flag("enable-admission-plugins", "NodeRestriction"),
		flag("allow-privileged", "true"),
		flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
		flag("service-account-key-file", dir.Join("pki", pki.ServiceAccounts+".pub")),
		flag("service-account-signing-key-file", dir.Key(pki.ServiceAccounts)),
		flag("kubelet-certificate-authority", dir.Certificate(pki.CA)),
		flag("kubelet-client-certificate", dir.Certificate(pki.KubeletClient)),
		flag("kubelet-client-key", dir.Key(pki.KubeletClient)),
		flag("kubelet-preferred-address-types", "InternalIP"),
		// Aggregated API servers, such as the one of traffic metrics.
		flag("requestheader-client-ca-file", dir.Certificate(pki.FrontProxyCA)),
		flag("requestheader-allowed-names", pki.FrontProxyClient),
		flag("requestheader-username-headers", "X-Remote-User"),
		flag("requestheader-group-headers", "X-Remote-Group"),
		flag("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
		flag("proxy-client-cert-file", dir.Certificate(pki.FrontProxyClient)),
		flag("proxy-client-key-file", dir.Key(pki.FrontProxyClient)),
		flag("enable-aggregator-routing", "true"),
	}
	return Process{
		Name:  "kube-apiserver",
		Path:  c.program("kubernetes", "kube-apiserver"),
		Args:  args,
		Ready: "https://127.0.0.1:6443/readyz",
		After: []string{"etcd"},
	}
}

// kubeconfigs are the flags of a component that asks the API server about those
// who ask it.
func kubeconfigs(user string) []string {
	file := dir.Config(user + ".kubeconfig")
	return []string{
		flag("kubeconfig", file),
		flag("authentication-kubeconfig", file),
		flag("authorization-kubeconfig", file),
		flag("tls-cert-file", dir.Certificate(pki.Serving)),
		flag("tls-private-key-file", dir.Key(pki.Serving)),
		// There is one of it, and it should work at once.
		flag("leader-elect", "false"),
	}
}

func (c Cluster) controllerManager() Process {
	return Process{
		Name: "kube-controller-manager",
		Path: c.program("kubernetes", "kube-controller-manager"),
		Args: append(kubeconfigs(pki.ControllerManager),
			flag("use-service-account-credentials", "true"),
			flag("service-account-private-key-file", dir.Key(pki.ServiceAccounts)),
			flag("root-ca-file", dir.Certificate(pki.CA)),
			flag("cluster-signing-cert-file", dir.Certificate(pki.CA)),
			flag("cluster-signing-key-file", dir.Key(pki.CA)),
			flag("allocate-node-cidrs", "true"),
			flag("cluster-cidr", c.Plan.Pods.String()),
			flag("service-cluster-ip-range", c.Plan.Services.String()),
			flag("flex-volume-plugin-dir", dir.Join("flexvolume")),
		),
		Ready: "https://127.0.0.1:10257/healthz",
		After: []string{"kube-apiserver"},
	}
}

func (c Cluster) scheduler() Process {
	return Process{
		Name:  "kube-scheduler",
		Path:  c.program("kubernetes", "kube-scheduler"),
		Args:  kubeconfigs(pki.Scheduler),
		Ready: "https://127.0.0.1:10259/healthz",
		After: []string{"kube-apiserver"},
	}
}
