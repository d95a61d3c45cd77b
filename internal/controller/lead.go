package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseName is the Lease by which replicas agree on who writes.
const LeaseName = "smi-controller"

const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// lead does what one replica at a time does, whenever this one is it. One that
// stops being the leader, as when the API server is away, goes on serving.
func (c *Controller) lead(ctx context.Context) error {
	if !c.options.LeaderElection {
		return c.write(ctx)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: LeaseName, Namespace: c.options.Namespace},
		Client:     c.clientset.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: c.options.Replica},
	}
	for ctx.Err() == nil {
		if err := c.campaign(ctx, lock); err != nil {
			return err
		}
	}
	return nil
}

// campaign waits until this replica leads, and returns when it does not any more
// and has stopped writing.
func (c *Controller) campaign(ctx context.Context, lock resourcelock.Interface) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var (
		led     sync.WaitGroup
		failure error
		// The elector does not wait for what it starts when it begins to lead, so that
		// may begin when the campaign is over: then it must not write.
		mu   sync.Mutex
		over bool
	)
	begin := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			led.Add(1)
		}
		return !over
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: LeaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				if !begin() {
					return
				}
				defer led.Done()
				// One that cannot write must not keep others from it.
				defer stop()
				failure = c.write(ctx)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("controller: leader election: %w", err)
	}
	elector.Run(ctx)
	mu.Lock()
	over = true
	mu.Unlock()
	led.Wait()
	return failure
}

// write is what the leader does.
func (c *Controller) write(ctx context.Context) error {
	c.metrics.leader.Set(1)
	defer c.metrics.leader.Set(0)
	c.log.Info("this replica writes now", "replica", c.options.Replica)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.leadRoots(ctx) })
	group.Go(func() error { return c.announceRoots(ctx) })
	group.Go(func() error { return c.reporter.write(ctx) })
	return group.Wait()
}
