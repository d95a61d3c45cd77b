package rootkeeper

import (
	"strings"
	"testing"
	"time"
)

// In every phase all pods trust each other, those that have renewed already and
// those that have not; and no phase ends before all have.
func TestRotation(t *testing.T) {
	c := newCluster(t)
	leader, follower := c.start("a", true), c.start("b", false)
	old := c.ready(leader).Root()
	c.ready(follower)
	web, db := c.pod("web"), c.pod("db")
	web.renew(leader)
	db.renew(follower)
	c.until(Stable, "")
	before := c.roots(t.Context(), "shop")

	if err := c.remote().Rotate(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	for _, phase := range []Phase{Trusting, Signing, Removing} {
		c.until(phase, "2 pods have not renewed their certificate: shop/db, shop/web")
		if now := c.roots(t.Context(), "shop"); now == before {
			t.Errorf("phase %s: agents cannot tell by the ConfigMap that they should renew", phase)
		} else {
			before = now
		}
		allTrust(web, db)
		web.renew(leader)
		c.until(phase, "1 pods have not renewed their certificate: shop/db")
		allTrust(web, db)
		db.renew(follower)
	}
	status := c.until(Stable, "")
	allTrust(web, db)
	if len(status.Roots) != 1 || status.Request != "first" {
		t.Errorf("after the rotation: %+v", status)
	}
	for _, r := range []*replica{leader, follower} {
		ca := c.ready(r)
		if ca.Root().Equal(old) || len(ca.Bundle().Roots()) != 1 {
			t.Errorf("replica %s signs under %s and trusts %d roots", r.name, ca.Root().Subject, len(ca.Bundle().Roots()))
		}
	}
}

// Every controller is killed in every phase, and another one goes on.
func TestRotationSurvivesControllers(t *testing.T) {
	c := newCluster(t)
	r := c.start("a", true)
	old := c.ready(r).Root()
	web := c.pod("web")
	web.renew(r)
	c.until(Stable, "")
	if err := c.remote().Rotate(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	for i, phase := range []Phase{Trusting, Signing, Removing} {
		c.until(phase, "shop/web")
		r.kill()
		r = c.start("b"+string(phase), true)
		c.ready(r)
		if i == 1 {
			// One that is killed when it has just signed has told nobody. The pod is
			// waited for until it asks again.
			web.renew(r)
			r.kill()
			r = c.start("c", true)
			c.ready(r)
		}
		web.renew(r)
	}
	c.until(Stable, "")
	if web.bundle.Roots()[0].Equal(old) || len(web.bundle.Roots()) != 1 {
		t.Error("the old root is still trusted")
	}
}

// A replica that lives and has not seen the phase is waited for; a pod that never
// renews, only until what it has is worth nothing.
func TestWhoIsWaitedFor(t *testing.T) {
	c := newCluster(t)
	c.ttl = 6 * time.Second
	leader, follower := c.start("a", true), c.start("b", false)
	c.ready(leader)
	c.ready(follower)
	stuck := c.pod("stuck")
	stuck.renew(leader)
	c.until(Stable, "")
	follower.kill()
	c.mu.Lock()
	c.dead["b"] = false // It hangs, and its pod is still there.
	c.mu.Unlock()
	if err := c.remote().Rotate(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	c.until(Trusting, "the controller b has not seen epoch 2")
	issued := stuck.chain[0].NotAfter
	c.mu.Lock()
	c.dead["b"] = true
	c.mu.Unlock()
	c.until(Signing, "shop/stuck")
	if now := time.Now(); now.Before(issued) {
		t.Errorf("the root signs while a certificate is valid until %s whose holder does not trust it; it is %s", issued, now)
	}
}

// What a rotation cannot reach holds it up until somebody says that it shall not, one
// phase at a time; and a place where roots cannot be told, as long as certificates
// live.
func TestWhoIsNotWaitedFor(t *testing.T) {
	c := newCluster(t)
	c.ttl = 6 * time.Second
	leader := c.start("a", true)
	c.ready(leader)
	c.until(Stable, "")
	c.mu.Lock()
	c.untold = []string{"a webhook has the old roots"}
	c.mu.Unlock()
	if err := c.remote().Rotate(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	begun := c.until(Trusting, "a webhook has the old roots")
	for _, epoch := range []int64{begun.Epoch - 1, begun.Epoch + 1} {
		if err := c.remote().Force(t.Context(), epoch); err != nil {
			t.Fatal(err)
		}
		if now := c.until(Trusting, "a webhook"); now.Epoch != begun.Epoch {
			t.Fatalf("an order for epoch %d ended epoch %d", epoch, begun.Epoch)
		}
	}
	if err := c.remote().Force(t.Context(), begun.Epoch); err != nil {
		t.Fatal(err)
	}
	// Nobody forces this one. It ends when all that was signed before has ended.
	forced := c.until(Signing, "a webhook has the old roots")
	removing := c.until(Removing, "a webhook has the old roots")
	if took := removing.Since.Sub(forced.Since); took < c.ttl {
		t.Errorf("the phase %s ended after %s, while certificates live for %s", Signing, took, c.ttl)
	}
	if !strings.Contains(c.log.String(), "somebody asked not to wait any longer") {
		t.Error("the log does not say what was not waited for")
	}
}

func TestRotationNeedsAController(t *testing.T) {
	c := newCluster(t)
	err := c.remote().Rotate(t.Context(), "first")
	if err == nil || !strings.Contains(err.Error(), "no controller leads there") {
		t.Errorf("got %v", err)
	}
	if _, err := c.remote().Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no controller leads there") {
		t.Errorf("got %v", err)
	}
}
