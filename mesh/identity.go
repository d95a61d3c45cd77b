package mesh

import "strings"

// Name is the namespace and name of an object.
type Name struct {
	Namespace string
	Name      string
}

// String returns namespace/name.
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Compare orders names by namespace, then by name.
func (n Name) Compare(o Name) int {
	if c := strings.Compare(n.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(n.Name, o.Name)
}

// Account is a Kubernetes ServiceAccount, the unit of identity (ID-1).
type Account = Name

// Principal is the SPIFFE id of a peer, with its scheme:
// spiffe://<trust-domain>/ns/<namespace>/sa/<serviceaccount> for an account of
// the mesh (ID-1), anything after the trust domain for a foreign one (ID-4).
type Principal string

// PrincipalOf returns the identity of an account in a trust domain (ID-1).
func PrincipalOf(trustDomain string, a Account) Principal {
	return Principal("spiffe://" + trustDomain + "/ns/" + a.Namespace + "/sa/" + a.Name)
}

// Account returns the account of a principal of the trust domain, and whether
// it is one.
func (p Principal) Account(trustDomain string) (Account, bool) {
	rest, ok := strings.CutPrefix(string(p), "spiffe://"+trustDomain+"/ns/")
	if !ok {
		return Account{}, false
	}
	ns, sa, ok := strings.Cut(rest, "/sa/")
	if !ok || ns == "" || sa == "" || strings.Contains(ns, "/") || strings.Contains(sa, "/") {
		return Account{}, false
	}
	return Account{Namespace: ns, Name: sa}, true
}
