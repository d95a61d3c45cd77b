package controller

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/inject"
)

// InjectorName is the name of the MutatingWebhookConfiguration, and InjectorPath
// where the API server calls.
const (
	InjectorName = "smi-injector"
	InjectorPath = "/inject"
)

// webhook is what the API server calls before a pod is stored.
type webhook struct {
	controller *Controller
	handler    http.Handler
	// keeper holds the certificate; nil before there is a certificate authority.
	keeper atomic.Pointer[identity.Keeper]
}

func (c *Controller) newWebhook() (*webhook, error) {
	injector, err := inject.New(c.options.injectOptions())
	if err != nil {
		return nil, err
	}
	// A cache that lags behind would let pods start unguarded.
	hook := &admission.Webhook{Handler: injector.Handler(inject.ReadNamespaces(c.manager.GetAPIReader()))}
	handler, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: c.manager.GetLogger().WithName("inject"), MetricsPath: InjectorPath})
	if err != nil {
		return nil, fmt.Errorf("controller: webhook: %w", err)
	}
	return &webhook{controller: c, handler: handler}, nil
}

// Bounds of what a caller of the webhook can take.
const (
	readTimeout = 15 * time.Second
	idleTimeout = 2 * time.Minute
)

// serve serves the webhook until the context ends. Its certificate is of the
// mesh's own authority and follows that.
func (w *webhook) serve(ctx context.Context) error {
	options := &w.controller.options
	ca, err := w.controller.waitForCA(ctx)
	if err != nil {
		return nil //nolint:nilerr // the context has ended
	}
	keeper := identity.NewKeeper(ca.XDSSource(options.serviceNames()...), w.controller.log)
	w.keeper.Store(keeper)
	mux := http.NewServeMux()
	mux.Handle(InjectorPath, w.handler)
	server := &http.Server{
		Handler: mux, ReadTimeout: readTimeout, WriteTimeout: readTimeout, IdleTimeout: idleTimeout,
		// Before the API server knows the roots, it ends every handshake.
		ErrorLog: slog.NewLogLogger(w.controller.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				svid := keeper.Current()
				if svid == nil {
					return nil, errors.New("the webhook has no certificate yet")
				}
				return svid.TLSCertificate(), nil
			},
		},
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", options.Addresses.Webhook)
	if err != nil {
		return fmt.Errorf("controller: webhook: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return keeper.Run(ctx) })
	group.Go(func() error { return keeper.Follow(ctx, ca.Bundle()) })
	group.Go(func() error {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("controller: webhook: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		return server.Shutdown(bounded)
	})
	return group.Wait()
}

// checkInjector is how often the webhook's configuration is looked at, and
// awaitInjector how often where it is not there or cannot be written.
const (
	checkInjector = 30 * time.Second
	awaitInjector = 2 * time.Second
)

// announced is what the API server was last told of the webhook's roots, or why it
// could not be.
type announced struct {
	roots []byte
	err   error
}

// errNoInjector tells that there is nobody whom the API server would call.
var errNoInjector = fmt.Errorf("there is no MutatingWebhookConfiguration %s: install the chart", InjectorName)

// untold says where the roots are not that the webhook needs: under another one the
// API server would refuse it, and so every new pod of the mesh.
func (c *Controller) untold() []string {
	const where = "caBundle of the MutatingWebhookConfiguration " + InjectorName
	last := c.announced.Load()
	switch {
	case last == nil:
		return []string{where + ": was not looked at yet"}
	case errors.Is(last.err, errNoInjector):
		return nil
	case last.err != nil:
		return []string{where + ": " + last.err.Error()}
	case !bytes.Equal(last.roots, c.ca.Bundle().PEM()):
		return []string{where + ": does not have these roots yet"}
	}
	return nil
}

// announceRoots keeps the roots of the mesh in the webhook's configuration, so that
// the API server knows who serves it. The leader does it.
func (c *Controller) announceRoots(ctx context.Context) error {
	ca, err := c.waitForCA(ctx)
	if err != nil {
		return nil //nolint:nilerr // the context has ended
	}
	said := ""
	for {
		changed, pause := ca.Bundle().Changed(), checkInjector
		roots := ca.Bundle().PEM()
		err := c.writeRoots(ctx, roots)
		c.announced.Store(&announced{roots, err})
		if err != nil && ctx.Err() == nil {
			pause = awaitInjector
			if err.Error() != said {
				c.log.Warn("the API server cannot be told the roots of the webhook yet; pods of the mesh cannot start until it is", "error", err)
			}
			said = err.Error()
		} else {
			said = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-time.After(pause):
		}
	}
}

func (c *Controller) writeRoots(ctx context.Context, roots []byte) error {
	current := &admissionregistrationv1.MutatingWebhookConfiguration{}
	err := c.manager.GetAPIReader().Get(ctx, types.NamespacedName{Name: InjectorName}, current)
	if apierrors.IsNotFound(err) {
		return errNoInjector
	}
	if err != nil {
		return err
	}
	wanted := current.DeepCopy()
	for i := range wanted.Webhooks {
		wanted.Webhooks[i].ClientConfig.CABundle = roots
	}
	if len(current.Webhooks) == 0 || bytes.Equal(current.Webhooks[0].ClientConfig.CABundle, roots) && sameBundles(current) {
		return nil
	}
	patch := client.StrategicMergeFrom(current, client.MergeFromWithOptimisticLock{})
	if err := c.manager.GetClient().Patch(ctx, wanted, patch); err != nil {
		return err
	}
	c.log.Info("told the API server the roots of the webhook")
	return nil
}

// sameBundles tells whether all webhooks have the bundle of the first.
func sameBundles(configuration *admissionregistrationv1.MutatingWebhookConfiguration) bool {
	for _, hook := range configuration.Webhooks {
		if !bytes.Equal(hook.ClientConfig.CABundle, configuration.Webhooks[0].ClientConfig.CABundle) {
			return false
		}
	}
	return true
}
