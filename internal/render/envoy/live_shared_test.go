package envoy

import (
	"fmt"
	"testing"
	"time"

	"github.com/smi-project/smi/internal/render/envoy/envoytest"
	"github.com/smi-project/smi/mesh"
)

// strangers are two accounts whose sources share a chain where they have none
// of their own.
func strangers() (a, b mesh.Account) {
	seen := map[string]mesh.Account{}
	for i := 0; ; i++ {
		account := mesh.Account{Namespace: "shop", Name: fmt.Sprintf("stranger-%d", i)}
		bucket := bucketOf(SourceName(principal(account)))
		if first, ok := seen[bucket]; ok {
			return first, account
		}
		seen[bucket] = account
	}
}

// Sources that share a filter chain share its end, and no grant.
func TestSharedChain(t *testing.T) {
	eachEnvoy(t, 236, func(t *testing.T, binary string, address func(mesh.Account) string) {
		ann, bob := strangers()
		grant := func(a mesh.Account, path string) *mesh.Grant {
			return &mesh.Grant{Target: mesh.Name{Namespace: "bank", Name: a.Name}, Sources: []mesh.Principal{principal(a)}, Matches: []*mesh.Match{{Path: path}, {Path: "/stream"}}}
		}
		w := &town{mode: mesh.Strict, grants: append(webGrants(), grant(ann, "/ann"), grant(bob, "/bob")), address: address}
		l := startLive(t, binary, w, Options{SourceChains: 1}, ledger)

		ofAnn, ofBob := SourceName(principal(ann)), SourceName(principal(bob))
		envoytest.Eventually(t, patience, func() error {
			return wantStatus(l.direct(t, ann, ofAnn), l.url(ledger, portHTTP, "/ann"), 200)
		})
		wantReply(t, l.direct(t, bob, ofBob), "GET", l.url(ledger, portHTTP, "/bob"), reply{200, "ledger", ""})
		for _, path := range []string{"/ann", "/bob", "/accounts"} {
			for _, name := range []string{ofBob, SourceName(principal(web)), "x" + ofAnn[sourceLabel:]} {
				wantReply(t, l.direct(t, ann, name), "GET", l.url(ledger, portHTTP, path), reply{403, "", string(principal(ann))})
			}
		}
		wantReply(t, l.direct(t, ann, ofAnn), "GET", l.url(ledger, portHTTP, "/bob"), reply{status: 403})

		annStream, bobStream, webStream := l.stream(t, ann), l.stream(t, bob), l.stream(t, web)
		w.grants = append(webGrants(), grant(bob, "/bob"))
		l.epochs = l.epochs.Bump(ledger, portHTTP, principal(ann))
		l.update(t)
		for _, s := range []*stream{annStream, bobStream} {
			select {
			case <-s.ended:
			case <-time.After(closedWithin):
				t.Error("a stream outlived the chain that it shared")
			}
		}
		webStream.wantOpen(t)
		wantReply(t, l.direct(t, ann, ofAnn), "GET", l.url(ledger, portHTTP, "/ann"), reply{403, "", string(principal(ann))})
		wantReply(t, l.direct(t, bob, ofBob), "GET", l.url(ledger, portHTTP, "/bob"), reply{200, "ledger", ""})
		l.accepted(t)
	})
}
