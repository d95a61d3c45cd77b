package certify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"

	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// Caller is whom a token was found to belong to.
type Caller struct {
	Account mesh.Account
	// Pod is the pod that the token is bound to, in the account's namespace, and
	// UID tells it from others that had or will have its name.
	Pod string
	UID types.UID
}

// Reviewer tells whom a token belongs to. An error that wraps ErrToken says that
// the token is not good; any other that the question could not be answered.
type Reviewer interface {
	Review(ctx context.Context, token string) (Caller, error)
}

// ErrToken is wrapped by errors about tokens that prove nothing.
var ErrToken = errors.New("the token is refused")

// Keys of what the API server tells about a bound token.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// maxReason bounds what is passed on of the API server's reason, in bytes.
const maxReason = 256

// TokenReviews asks the API server, which knows its own tokens, whether they have
// expired, and whether the pod that they are bound to still exists.
type TokenReviews struct {
	client authenticationclient.TokenReviewInterface
}

// NewTokenReviews makes a Reviewer. Every certificate costs one request, so the
// client must be allowed about as many a second as pods start at once.
func NewTokenReviews(client authenticationclient.TokenReviewInterface) *TokenReviews {
	return &TokenReviews{client: client}
}

// Review implements Reviewer.
func (r *TokenReviews) Review(ctx context.Context, token string) (Caller, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token: token, Audiences: []string{sidecar.TokenAudience},
	}}
	answer, err := r.client.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return Caller{}, fmt.Errorf("review a token: %w", err)
	}
	status := &answer.Status
	if !status.Authenticated {
		reason := status.Error
		if reason == "" {
			reason = "it is not one of this cluster"
		}
		return Caller{}, fmt.Errorf("%w: the API server does not accept it for the audience %s: %s",
			ErrToken, sidecar.TokenAudience, reason[:min(len(reason), maxReason)])
	}
	// An authenticator that knows no audiences answers without any.
	if !slices.Contains(status.Audiences, sidecar.TokenAudience) {
		return Caller{}, fmt.Errorf("%w: it is not for the audience %s", ErrToken, sidecar.TokenAudience)
	}
	return callerOf(&status.User)
}

func callerOf(user *authenticationv1.UserInfo) (Caller, error) {
	rest, isAccount := strings.CutPrefix(user.Username, "system:serviceaccount:")
	namespace, name, ok := strings.Cut(rest, ":")
	if !isAccount || !ok || namespace == "" || name == "" || strings.Contains(name, ":") {
		return Caller{}, fmt.Errorf("%w: %q is no ServiceAccount", ErrToken, user.Username)
	}
	pod, uid := user.Extra[extraPodName], user.Extra[extraPodUID]
	if len(pod) != 1 || len(uid) != 1 || pod[0] == "" || uid[0] == "" {
		return Caller{}, fmt.Errorf("%w: it is not bound to a pod; use the token that the volume %s projects", ErrToken, sidecar.VolumeToken)
	}
	return Caller{Account: mesh.Account{Namespace: namespace, Name: name}, Pod: pod[0], UID: types.UID(uid[0])}, nil
}
