package pki

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
)

// Names of key pairs.
const (
	CA                = "ca"
	FrontProxyCA      = "front-proxy-ca"
	FrontProxyClient  = "front-proxy-client"
	Serving           = "serving"
	KubeletClient     = "kubelet-client"
	Admin             = "admin"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	// ServiceAccounts is the key that signs tokens of ServiceAccounts.
	ServiceAccounts = "service-accounts"
)

// Write makes everything that a cluster needs: authorities, key pairs, the key
// of ServiceAccount tokens, and kubeconfigs.
func Write(dir layout.Dir, name string, plan network.Plan) error {
	if err := os.MkdirAll(dir.PKI(), 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	ca, err := NewAuthority(dir, CA, "kubernetes")
	if err != nil {
		return err
	}
	frontProxy, err := NewAuthority(dir, FrontProxyCA, "front-proxy")
	if err != nil {
		return err
	}
	errs := []error{
		NewSigner(dir, ServiceAccounts),
		frontProxy.Issue(dir, Holder{File: FrontProxyClient, User: "front-proxy-client"}),
	}
	for _, holder := range holders(name, plan) {
		errs = append(errs, ca.Issue(dir, holder))
	}
	server := fmt.Sprintf("https://%s:6443", plan.Node.V4.Addr())
	for _, user := range []string{ControllerManager, Scheduler, Kubelet, Proxy} {
		errs = append(errs, Kubeconfig(dir, dir.Config(user+".kubeconfig"), name, server, user))
	}
	return errors.Join(append(errs, Kubeconfig(dir, dir.Kubeconfig(), name, server, Admin))...)
}

// holders are those whom the cluster's authority signs for.
func holders(name string, plan network.Plan) []Holder {
	return []Holder{
		{
			File: Serving, User: "kube-apiserver",
			Names: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local",
			},
			Addresses: append(plan.APIServer(), netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()),
		},
		{File: Admin, User: "kubernetes-admin", Groups: []string{"system:masters"}},
		{File: KubeletClient, User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		{File: ControllerManager, User: "system:kube-controller-manager"},
		{File: Scheduler, User: "system:kube-scheduler"},
		{File: Proxy, User: "system:kube-proxy"},
		{
			File: Kubelet, User: "system:node:" + name, Groups: []string{"system:nodes"},
			Names:     []string{name},
			Addresses: []netip.Addr{plan.Node.V4.Addr(), plan.Node.V6.Addr()},
		},
	}
}
