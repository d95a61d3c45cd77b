package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// runKeeper runs a keeper until the bubble's test ends.
func runKeeper(t *testing.T, k *Keeper) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestKeeperRenewsAtTwoThirds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newTestCA(t)
		k := NewKeeper(ca.Source(bank), nil)
		if k.Current() != nil {
			t.Error("a keeper that does not run holds something")
		}
		runKeeper(t, k)
		first, err := k.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{first.Serial(): true}
		for range 4 {
			issued := time.Now()
			<-k.Changed()
			after := time.Since(issued)
			if after < 15*time.Hour || after > 16*time.Hour {
				t.Errorf("renewed after %s; want two thirds of a day, a little less", after)
			}
			svid := k.Current()
			if seen[svid.Serial()] || svid.key.Equal(first.key) {
				t.Error("the new SVID has an old serial or key")
			}
			seen[svid.Serial()] = true
		}
	})
}

func TestKeeperBacksOffAndKeepsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newTestCA(t)
		source := ca.Source(bank)
		var mu sync.Mutex
		broken := true
		var attempts []time.Time
		setBroken := func(b bool) {
			mu.Lock()
			defer mu.Unlock()
			broken = b
		}
		var log bytes.Buffer
		k := NewKeeper(SourceFunc(func(ctx context.Context, csr []byte) ([]byte, []byte, error) {
			mu.Lock()
			defer mu.Unlock()
			attempts = append(attempts, time.Now())
			if broken {
				return nil, nil, errors.New("no route to the CA")
			}
			return source.Certificate(ctx, csr)
		}), slog.New(slog.NewTextHandler(&log, nil)))
		runKeeper(t, k)

		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		_, err := k.Wait(ctx)
		wantError(t, err, "no certificate", "no route to the CA")
		mu.Lock()
		for i := 1; i < len(attempts); i++ {
			if pause := attempts[i].Sub(attempts[i-1]); pause < firstRetry*8/10 || pause > lastRetry {
				t.Errorf("pause %d is %s", i, pause)
			}
		}
		if n := len(attempts); n < 20 || n > 40 {
			t.Errorf("%d attempts in ten minutes; want a back-off up to %s", n, lastRetry)
		}
		broken = false
		mu.Unlock()

		svid, err := k.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		setBroken(true)
		<-time.After(20 * time.Hour) // In the bubble's time: past the renewal, before the end.
		if k.Current() != svid {
			t.Error("a failed renewal lost the certificate")
		}
		setBroken(false)
		<-k.Changed()
		if k.Current() == svid {
			t.Error("nothing new after the CA came back")
		}
		if !strings.Contains(log.String(), "no route to the CA") {
			t.Errorf("the log does not say why:\n%s", &log)
		}
	})
}

func TestKeeperRenewsOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newTestCA(t)
		k := NewKeeper(ca.Source(bank), nil)
		runKeeper(t, k)
		if _, err := k.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		start, changed := time.Now(), k.Changed()
		if err := ca.Bundle().Add(newTestCA(t).Bundle().Roots()[0]); err != nil {
			t.Fatal(err)
		}
		k.Renew()
		<-changed
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("it took %s", waited)
		}
		if n := strings.Count(string(k.Current().BundlePEM), "BEGIN CERTIFICATE"); n != 2 {
			t.Errorf("%d roots came along; want both", n)
		}
	})
}

func TestKeeperRefusesBadAnswers(t *testing.T) {
	ca, other := newTestCA(t), newTestCA(t)
	key, csr, err := newRequest()
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := ca.Sign(csr, bank)
	if err != nil {
		t.Fatal(err)
	}
	bundle := ca.Bundle().PEM()
	for name, c := range map[string]struct {
		chain, bundle []byte
		want          string
	}{
		"no chain":         {nil, bundle, "no certificate"},
		"another's key":    {issue(t, ca, bank).ChainPEM, bundle, "another key"},
		"no roots":         {chain, nil, "no certificate"},
		"another's roots":  {chain, other.Bundle().PEM(), "does not chain"},
		"the leaf as root": {chain, chain, "not one of a certificate authority"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newSVID(key, c.chain, c.bundle, time.Now())
			wantError(t, err, c.want)
		})
	}
}
