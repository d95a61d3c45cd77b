package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/smi-project/smi/internal/kube"
	"github.com/smi-project/smi/internal/rootkeeper"
)

// caCommand is about the certificate authority of a mesh on a cluster.
func caCommand(app *App) *cobra.Command {
	cmd := groupCommand(&cobra.Command{
		Use:   "ca",
		Short: "Show or rotate the certificate authority of a cluster's mesh",
		Long: `Show or rotate the certificate authority of a cluster's mesh.

Neither command reads the Secret with the key: the controller tells what there
is to know in the ConfigMap smi-ca, and takes orders there.

Exit codes: 0 done, or nothing is waited for; 1 something is; 2 the cluster
cannot be reached, or no controller leads there.`,
		Example: `  smi ca status`,
	})
	cmd.AddCommand(caStatus(app), caRotate(app))
	return cmd
}

// caFlags say where the mesh is.
type caFlags struct {
	connection kube.Connection
	namespace  string
}

func (f *caFlags) register(cmd *cobra.Command) {
	addConnectionFlags(cmd, &f.connection)
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "smi-system", "`NAME` of the controller's namespace")
}

func (f *caFlags) authority() (*rootkeeper.Remote, error) {
	client, err := f.connection.Clientset()
	if err != nil {
		return nil, err
	}
	return &rootkeeper.Remote{Client: client, Namespace: f.namespace}, nil
}

func caStatus(app *App) *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say which roots the mesh trusts, and how far a rotation is",
		Long: `Say which roots the mesh trusts, which of them signs, and how far a rotation is.

Exit codes: 0 the roots are stable and everywhere; 1 something is waited for;
2 the cluster cannot be reached, or no controller leads there.`,
		Example: `  smi ca status`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			status, err := authority.Status(cmd.Context())
			if err != nil {
				return err
			}
			app.printCA(status)
			if status.Phase != rootkeeper.Stable || len(status.Waiting) > 0 {
				return ErrNo
			}
			return nil
		},
	}
	f.register(cmd)
	return cmd
}

// phaseWords say what a phase means.
var phaseWords = map[rootkeeper.Phase]string{
	rootkeeper.Stable:   "stable",
	rootkeeper.Trusting: "rotating, 1 of 3: a new root becomes trusted everywhere, the old one signs",
	rootkeeper.Signing:  "rotating, 2 of 3: the new root signs, the old one is still trusted",
	rootkeeper.Removing: "rotating, 3 of 3: the old root is trusted no more",
}

// fingerprintLength is how much of a fingerprint is shown.
const fingerprintLength = 16

func (a *App) printCA(s *rootkeeper.Status) {
	a.line(fmt.Sprintf("%s (epoch %d, since %s), key in the Secret %s", phaseWords[s.Phase], s.Epoch, s.Since.Format(time.RFC3339), s.KeptIn))
	roots := table{row{{text: "ROOT"}, {text: "SHA-256"}, {text: "EXPIRES"}, {text: ""}}}
	for i, root := range s.Roots {
		signs := "trusted"
		if i == 0 && s.Phase != rootkeeper.Trusting {
			signs = "trusted, signs"
		}
		if i == 0 && s.Phase == rootkeeper.Trusting {
			signs = "trusted, signs until all trust the next"
		}
		roots = append(roots, row{{text: root.Subject}, {text: root.Fingerprint[:min(fingerprintLength, len(root.Fingerprint))]}, {text: root.Expires.Format(time.DateOnly)}, {text: signs}})
	}
	fmt.Fprint(a.Out, roots.render(a, "  "))
	for _, waiting := range s.Waiting {
		a.line("waiting: " + waiting)
	}
}

func caRotate(app *App) *cobra.Command {
	var f caFlags
	var timeout time.Duration
	var force bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the root of the mesh, with overlap",
		Long: `Replace the root of the mesh by a new one, with overlap and without a request
that fails: first the new root becomes trusted everywhere, then it signs, then
the old one is trusted no more. Each step waits until every pod has taken it up.

The controller does it; this command asks it to, and shows how far it is until
it is done. It may be interrupted: the rotation goes on, and smi ca status shows
it.

No pod and no namespace holds a step up for longer than certificates live, a day
unless configured otherwise. With --force the step that is under way ends now,
for a root whose key is in wrong hands. It names first what was not reached,
which is refused by the others until it renews its certificate. The steps after
it wait again.

Only for a certificate authority that the mesh made. One of your own is rotated
by a change of its Secret.

Exit codes: 0 done; 1 not done within --timeout, and going on; 2 the cluster
cannot be reached, or refused.`,
		Example: `  smi ca rotate`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			authority, err := f.authority()
			if err != nil {
				return err
			}
			if force {
				return app.forceRotation(cmd.Context(), authority, timeout)
			}
			return app.rotate(cmd.Context(), authority, timeout)
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "end the step of a rotation that is under way, whatever it waits for")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Minute, "how long to watch")
	return cmd
}

// pollInterval is how often the status is looked at.
const pollInterval = time.Second

func (a *App) rotate(ctx context.Context, authority *rootkeeper.Remote, timeout time.Duration) error {
	before, err := authority.Status(ctx)
	if err != nil {
		return err
	}
	if before.KeptIn != rootkeeper.OwnSecret {
		return fmt.Errorf("the certificate authority is yours: change the Secret %s/%s, and the mesh follows with overlap", authority.Namespace, before.KeptIn)
	}
	request := time.Now().UTC().Format(time.RFC3339Nano)
	if err := authority.Rotate(ctx, request); err != nil {
		return err
	}
	return a.watchRotation(ctx, authority, timeout, func(s *rootkeeper.Status) (begun, done bool) {
		return s.Request == request || s.Phase != rootkeeper.Stable, s.Request == request && s.Phase == rootkeeper.Stable
	})
}

// forcedWords say what follows where a phase ends before it has reached everybody.
var forcedWords = map[rootkeeper.Phase]string{
	rootkeeper.Trusting: "the new root signs from now on. Whoever was not reached does not trust it: it refuses, and cannot call, everybody who renews",
	rootkeeper.Signing:  "the old root is trusted no more. Whoever was not reached has a certificate under it, and is refused by everybody else",
	rootkeeper.Removing: "whoever was not reached may go on trusting the old root until it renews",
}

// forceRotation ends the phase that is under way.
func (a *App) forceRotation(ctx context.Context, authority *rootkeeper.Remote, timeout time.Duration) error {
	s, err := authority.Status(ctx)
	if err != nil {
		return err
	}
	if s.Phase == rootkeeper.Stable {
		return errors.New("no rotation is under way, so there is nothing to force: smi ca rotate begins one")
	}
	a.line(phaseWords[s.Phase])
	for _, waiting := range s.Waiting {
		a.line("  not waiting any longer: " + waiting)
	}
	a.line(forcedWords[s.Phase] + ", until it renews its certificate; a pod that is deleted and made anew does at once")
	if err := authority.Force(ctx, s.Epoch); err != nil {
		return err
	}
	forced := s.Epoch
	return a.watchRotation(ctx, authority, timeout, func(s *rootkeeper.Status) (begun, done bool) {
		return s.Epoch > forced || s.Phase == rootkeeper.Stable, s.Phase == rootkeeper.Stable
	})
}

// watchRotation shows how far a rotation is, once it has begun, until it is done.
func (a *App) watchRotation(ctx context.Context, authority *rootkeeper.Remote, timeout time.Duration, look func(*rootkeeper.Status) (begun, done bool)) error {
	last := ""
	err := wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		s, err := authority.Status(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // the API server may be away for a moment, and the rotation goes on
		}
		begun, done := look(s)
		if now := fmt.Sprint(s.Phase, s.Waiting); now != last && begun {
			last = now
			a.line(phaseWords[s.Phase])
			for _, waiting := range s.Waiting {
				a.line("  waiting: " + waiting)
			}
		}
		return done, nil
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		a.line("not done yet; it goes on, and smi ca status shows how far it is")
		return ErrNo
	}
	return err
}
