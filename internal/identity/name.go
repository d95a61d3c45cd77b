package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/smi-project/smi/mesh"
)

// XDSAccount is the ServiceAccount of the control plane, and so the identity
// that a proxy demands of its xDS server.
var XDSAccount = mesh.Account{Namespace: "smi-system", Name: "smi"}

// XDSServerName is the DNS name in the certificate of the xDS server, the same
// wherever it listens.
const XDSServerName = "smi-xds"

// parseTrustDomain reads the name of a trust domain, such as "cluster.local".
func parseTrustDomain(name string) (spiffeid.TrustDomain, error) {
	td, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return td, fmt.Errorf("trust domain %q: %w; use a lower-case name such as cluster.local", name, err)
	}
	if td.Name() != name {
		return td, fmt.Errorf("trust domain %q: write it as %q, without scheme and path", name, td.Name())
	}
	return td, nil
}

// accountID is the SPIFFE id of an account (ID-1). It refuses names that no
// ServiceAccount can have, so that no caller's mistake becomes another path.
func accountID(td spiffeid.TrustDomain, a mesh.Account) (spiffeid.ID, error) {
	if problems := validation.IsDNS1123Label(a.Namespace); len(problems) > 0 {
		return spiffeid.ID{}, fmt.Errorf("account %s: namespace: %s", a, strings.Join(problems, "; "))
	}
	if problems := validation.IsDNS1123Subdomain(a.Name); len(problems) > 0 {
		return spiffeid.ID{}, fmt.Errorf("account %s: name: %s", a, strings.Join(problems, "; "))
	}
	return spiffeid.FromString(string(mesh.PrincipalOf(td.Name(), a)))
}

// leafPrincipal reads the identity out of a certificate whose chain the caller
// verifies: exactly one URI SAN, that of an account of the trust domain (ID-1).
func leafPrincipal(td spiffeid.TrustDomain, leaf *x509.Certificate) (mesh.Principal, error) {
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return "", errors.New("the certificate is one that signs others, which names no workload")
	}
	if len(leaf.URIs) != 1 {
		return "", fmt.Errorf("the certificate has %d URI names; an identity has exactly one", len(leaf.URIs))
	}
	id, err := spiffeid.FromURI(leaf.URIs[0])
	if err != nil {
		return "", fmt.Errorf("the certificate's URI name: %w", err)
	}
	if !id.MemberOf(td) {
		return "", fmt.Errorf("%s is not of the trust domain %s", id, td.Name())
	}
	p := mesh.Principal(id.String())
	if _, ok := p.Account(td.Name()); !ok {
		return "", fmt.Errorf("%s does not name a ServiceAccount (spiffe://%s/ns/<namespace>/sa/<name>)", id, td.Name())
	}
	return p, nil
}
