package rootkeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/store"
	"github.com/smi-project/smi/mesh"
)

// Names of what the mesh keeps in its namespace.
const (
	// OwnSecret holds the state of the roots and, unless the user gives one, the
	// certificate authority. ConfigMap is the public side of it: what the leader
	// says about it, and where a rotation is asked for.
	OwnSecret = "smi-ca"
	ConfigMap = "smi-ca"
	// AnnotationRotate of the ConfigMap asks for another root by a value that it
	// did not have before.
	AnnotationRotate = "smi-spec.io/rotate"
	// AnnotationForce of the ConfigMap ends the phase of that epoch, whatever it waits
	// for.
	AnnotationForce = "smi-spec.io/rotate-force"
)

// Options are what a Keeper is made of.
type Options struct {
	// Client speaks with the API server. The leader writes a ConfigMap for every
	// meshed namespace when roots change, as fast as the client is allowed to.
	Client kubernetes.Interface
	// Namespace is that of the controller.
	Namespace string
	// Secret names the user's certificate authority in that namespace; where it is
	// empty the mesh makes its own and keeps it in OwnSecret.
	Secret string
	// TrustDomain and TTL are those of the certificates (identity.Config).
	TrustDomain string
	TTL         time.Duration
	// Replica tells this process from the others, as its pod's name does.
	Replica string
	// Alive tells whether a replica still runs; nil means that all do. What dead
	// ones have or have not done is waited for no longer.
	Alive func(replica string) bool
	// Untold says where else than in namespaces the roots of CA should be told and are
	// not, such as to those who call a webhook; nil means nowhere. It is asked by the
	// leader, once a second.
	Untold func() []string
	// Snapshot returns the namespaces and pods of the cluster. Of pods their UID,
	// phase, addresses and the names of init containers count.
	Snapshot func() *store.Snapshot
	// Logger is slog.Default() where it is nil.
	Logger *slog.Logger
}

// Keeper keeps the certificate authority of a mesh. One is in every replica of
// the controller: Run follows what the Secrets say, Lead changes it.
type Keeper struct {
	options  Options
	config   identity.Config
	logger   *slog.Logger
	watches  *watches
	progress *progress
	poked    chan struct{}

	mu     sync.Mutex
	record *record
	// user is the CA that the user gives, held what is signed with.
	user    *given
	held    *pair
	ca      *identity.CA
	trouble error
	ready   chan struct{}
	changed chan struct{}
}

// New makes a keeper; Run starts it.
func New(options Options) (*Keeper, error) {
	if options.Client == nil || options.Namespace == "" || options.Replica == "" || options.Snapshot == nil {
		return nil, errors.New("rootkeeper: Client, Namespace, Replica and Snapshot are needed")
	}
	if options.Secret == OwnSecret {
		return nil, fmt.Errorf("the Secret %s is the mesh's own; give your certificate authority another name", OwnSecret)
	}
	if options.Alive == nil {
		options.Alive = func(string) bool { return true }
	}
	if options.Untold == nil {
		options.Untold = func() []string { return nil }
	}
	if options.TTL == 0 {
		options.TTL = identity.DefaultTTL
	}
	k := &Keeper{
		options: options, config: identity.Config{TrustDomain: options.TrustDomain, TTL: options.TTL},
		logger: options.Logger, poked: make(chan struct{}, 1),
		ready: make(chan struct{}), changed: make(chan struct{}),
	}
	if k.logger == nil {
		k.logger = slog.Default()
	}
	k.watches = newWatches(options, k.wake)
	k.progress = newProgress(options)
	return k, nil
}

// CA returns the certificate authority as soon as there is one. It stays the same
// while its key and its roots change. When the context ends first, the error says
// what is missing.
func (k *Keeper) CA(ctx context.Context) (*identity.CA, error) {
	select {
	case <-k.ready:
		return k.ca, nil
	case <-ctx.Done():
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.trouble != nil {
			return nil, fmt.Errorf("no certificate authority: %w", k.trouble)
		}
		return nil, fmt.Errorf("no certificate authority: %w", context.Cause(ctx))
	}
}

// Issue implements certify.Issuer: it signs, and notes that the pod has a
// certificate and the roots of this epoch.
func (k *Keeper) Issue(csr []byte, account mesh.Account, pod types.UID) (chainPEM, rootsPEM []byte, err error) {
	select {
	case <-k.ready:
	default:
		return nil, nil, errors.New("there is no certificate authority yet")
	}
	// The epoch is taken first: what is then signed is of this one or a later one.
	epoch := k.progress.current()
	if chainPEM, _, err = k.ca.Sign(csr, account); err != nil {
		return nil, nil, err
	}
	rootsPEM = k.ca.Bundle().PEM()
	k.progress.note(epoch, pod)
	return chainPEM, rootsPEM, nil
}

// Err tells why the Secrets as they are cannot be used, nil where they can. What
// was in use before stays so.
func (k *Keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble
}

// Changed tells that namespaces or pods have changed.
func (k *Keeper) Changed() { k.wake() }

func (k *Keeper) wake() {
	select {
	case k.poked <- struct{}{}:
	default:
	}
}

// interval is how often what is not watched is looked at.
const interval = time.Second

// Run follows the Secrets until the context ends, and returns nil then.
func (k *Keeper) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return k.watches.run(ctx) })
	group.Go(func() error {
		if err := k.watches.wait(ctx); err != nil {
			return nil
		}
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			k.follow(ctx)
			select {
			case <-ctx.Done():
				return nil
			case <-k.poked:
			case <-ticker.C:
			}
		}
	})
	return group.Wait()
}

// follow does what the Secrets say, once.
func (k *Keeper) follow(ctx context.Context) {
	err := k.adopt()
	k.mu.Lock()
	if err != nil && (k.trouble == nil || k.trouble.Error() != err.Error()) {
		k.logger.Error("the certificate authority stays as it is", "error", err)
	}
	k.trouble = err
	close(k.changed)
	k.changed = make(chan struct{})
	k.mu.Unlock()
	if err := k.progress.publish(ctx); err != nil && ctx.Err() == nil {
		k.logger.Warn("this replica cannot tell whom it has given certificates; it tries again", "error", err)
	}
}

// adopt reads the Secrets and makes the CA what they say.
func (k *Keeper) adopt() error {
	user, err := k.readUser()
	if err != nil {
		return err
	}
	secret, ok := k.watches.secret(OwnSecret)
	if !ok {
		return fmt.Errorf("Secret %s/%s does not exist yet; the leading controller makes it", k.options.Namespace, OwnSecret)
	}
	r, err := k.parse(secret)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.user, k.record = user, r
	signer := r.signer(user, k.held)
	if signer == nil {
		return errors.New("nothing that could sign is trusted yet; the leading controller sees to it")
	}
	if err := k.install(signer, r); err != nil {
		return err
	}
	k.progress.begin(r.Epoch, r.Phase != Stable)
	return nil
}

// install makes the CA sign with a pair under the roots of a record.
func (k *Keeper) install(signer *pair, r *record) error {
	if k.ca == nil {
		made, err := loadPair(k.config, signer.chain, signer.key)
		if err != nil {
			return err
		}
		if err := made.ca.Bundle().Set(r.roots); err != nil {
			return err
		}
		k.ca, k.held = made.ca, signer
		close(k.ready)
		k.logger.Info("certificate authority ready", "root", signer.String(), "phase", string(r.Phase), "epoch", r.Epoch)
		return nil
	}
	if k.held != signer {
		k.logger.Info("another certificate signs now", "root", signer.String(), "phase", string(r.Phase), "epoch", r.Epoch)
	}
	if err := k.ca.Replace(signer.ca, r.roots); err != nil {
		return err
	}
	k.held = signer
	return nil
}

// parse returns the record of the Secret, the same as long as the Secret is.
func (k *Keeper) parse(secret *corev1.Secret) (*record, error) {
	return k.watches.parsed.record(k.config, secret)
}

func (k *Keeper) readUser() (*given, error) {
	if k.options.Secret == "" {
		return nil, nil
	}
	secret, ok := k.watches.secret(k.options.Secret)
	if !ok {
		return nil, fmt.Errorf("Secret %s/%s, which ca.secret of the configuration names, does not exist; create it with tls.crt, tls.key and ca.crt", k.options.Namespace, k.options.Secret)
	}
	return k.watches.parsed.given(k.config, secret)
}
