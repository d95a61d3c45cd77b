package certify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/smi-project/smi/internal/certify/certifyv1"
	"github.com/smi-project/smi/internal/identity"
	"github.com/smi-project/smi/internal/sidecar"
	"github.com/smi-project/smi/mesh"
)

// Issuer signs for an account that was verified, to the key of a certificate
// signing request, and returns the chain and the roots of the mesh, both PEM. An
// error that is the requester's fault wraps identity.ErrRequest. The pod is whom
// it is for; the certificate does not name it.
type Issuer interface {
	Issue(csr []byte, account mesh.Account, pod types.UID) (chainPEM, rootsPEM []byte, err error)
}

// IssuerFunc makes a function an Issuer.
type IssuerFunc func(csr []byte, account mesh.Account, pod types.UID) (chainPEM, rootsPEM []byte, err error)

// Issue calls the function.
func (f IssuerFunc) Issue(csr []byte, account mesh.Account, pod types.UID) (chainPEM, rootsPEM []byte, err error) {
	return f(csr, account, pod)
}

// Config is what a Server is made of. All but the logger is needed.
type Config struct {
	Issuer   Issuer
	Reviewer Reviewer
	// Pod looks a pod up. Of the pod its UID, account, phase and the names of its
	// init containers count.
	Pod func(namespace, name string) (*corev1.Pod, bool)
	// Logger is slog.Default() where it is nil.
	Logger *slog.Logger
}

// Limits of what a caller may ask.
const (
	// maxToken and maxRequest are in bytes.
	maxToken   = 16 << 10
	maxRequest = 8 << 10
	// timeout bounds one request.
	timeout = 15 * time.Second
	// podEvery and podBurst are how often a pod may have a certificate; one that
	// lives ten seconds is renewed every six.
	podEvery, podBurst = time.Second, 10
	// addressEvery and addressBurst hold for an address, before anything is known
	// about who is there. Several pods may share one.
	addressEvery, addressBurst = 50 * time.Millisecond, 200
	// maxReviews is how many tokens are reviewed at a time.
	maxReviews = 64
)

// Server is the service. It is a prometheus.Collector.
type Server struct {
	certifyv1.UnimplementedCertificationServer
	config             Config
	logger             *slog.Logger
	perAddress, perPod *limiter
	reviews            *semaphore.Weighted
	requests           *prometheus.CounterVec
}

// New returns a server.
func New(config Config) *Server {
	if config.Issuer == nil || config.Reviewer == nil || config.Pod == nil {
		panic("certify: a server without Issuer, Reviewer and Pod would sign for anyone or nobody")
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.Default()
	}
	return &Server{
		config: config, logger: logger,
		perAddress: newLimiter(addressEvery, addressBurst), perPod: newLimiter(podEvery, podBurst),
		reviews: semaphore.NewWeighted(maxReviews),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "smi_certificate_requests_total", Help: "Requests of pods for a certificate, by the gRPC code that they were answered with.",
		}, []string{"code"}),
	}
}

// Register adds the service to a gRPC server. Its connections must be TLS; they
// need no client certificate.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	certifyv1.RegisterCertificationServer(registrar, s)
}

// Describe implements prometheus.Collector.
func (s *Server) Describe(ch chan<- *prometheus.Desc) { s.requests.Describe(ch) }

// Collect implements prometheus.Collector.
func (s *Server) Collect(ch chan<- prometheus.Metric) { s.requests.Collect(ch) }

// Certify implements the service.
func (s *Server) Certify(ctx context.Context, request *certifyv1.CertifyRequest) (*certifyv1.CertifyResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	caller, response, err := s.certify(ctx, request)
	code := status.Code(err)
	s.requests.WithLabelValues(code.String()).Inc()
	attrs := []any{"from", addressOf(ctx), "pod", caller.Account.Namespace + "/" + caller.Pod, "account", caller.Account.String()}
	if err != nil {
		level := slog.LevelWarn
		if code == codes.ResourceExhausted {
			level = slog.LevelDebug // Whoever asks too often must not fill the log as well.
		}
		s.logger.Log(ctx, level, "no certificate for a pod", append(attrs, "code", code.String(), "error", status.Convert(err).Message())...)
		return nil, err
	}
	s.logger.Debug("certificate issued", attrs...)
	return response, nil
}

func (s *Server) certify(ctx context.Context, request *certifyv1.CertifyRequest) (Caller, *certifyv1.CertifyResponse, error) {
	if !s.perAddress.allow(addressOf(ctx)) {
		return Caller{}, nil, status.Error(codes.ResourceExhausted, "too many requests from this address; wait and try again")
	}
	token, err := bearer(ctx)
	if err != nil {
		return Caller{}, nil, err
	}
	if n := len(request.GetCsr()); n == 0 || n > maxRequest {
		return Caller{}, nil, status.Errorf(codes.InvalidArgument, "csr: %d bytes; a certificate signing request has between 1 and %d", n, maxRequest)
	}
	caller, err := s.review(ctx, token)
	if err != nil {
		return Caller{}, nil, err
	}
	if !s.perPod.allow(string(caller.UID)) {
		return caller, nil, status.Errorf(codes.ResourceExhausted, "pod %s: more than %d certificates at once; wait and try again", caller.Pod, podBurst)
	}
	if err := s.admit(caller); err != nil {
		return caller, nil, err
	}
	chain, roots, err := s.config.Issuer.Issue(request.GetCsr(), caller.Account, caller.UID)
	switch {
	case errors.Is(err, identity.ErrRequest):
		return caller, nil, status.Error(codes.InvalidArgument, err.Error())
	case err != nil:
		s.logger.Error("the certificate authority does not sign", "error", err)
		return caller, nil, status.Error(codes.Unavailable, "the certificate authority does not sign at the moment; see the controller's log, or smi ca status")
	}
	return caller, &certifyv1.CertifyResponse{Chain: chain, Roots: roots}, nil
}

// bearer returns the caller's token.
func bearer(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) != 1 {
		return "", status.Errorf(codes.Unauthenticated, "the metadata has %d values of authorization; exactly one is needed, \"Bearer <token>\", with the pod's own token", len(values))
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok || token == "" || len(token) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return "", status.Errorf(codes.Unauthenticated, "authorization is not \"Bearer <token>\" with a token of at most %d bytes", maxToken)
	}
	return token, nil
}

func (s *Server) review(ctx context.Context, token string) (Caller, error) {
	if err := s.reviews.Acquire(ctx, 1); err != nil {
		return Caller{}, status.Error(codes.ResourceExhausted, "too many tokens are being reviewed; wait and try again")
	}
	defer s.reviews.Release(1)
	caller, err := s.config.Reviewer.Review(ctx, token)
	switch {
	case errors.Is(err, ErrToken):
		return Caller{}, status.Error(codes.Unauthenticated, err.Error())
	case err != nil:
		s.logger.Error("a token could not be reviewed", "error", err)
		return Caller{}, status.Error(codes.Unavailable, "the token could not be reviewed; the API server may be away, wait and try again")
	}
	return caller, nil
}

// admit compares what the token says with the pod as the mesh knows it.
func (s *Server) admit(caller Caller) error {
	name := fmt.Sprintf("pod %s/%s", caller.Account.Namespace, caller.Pod)
	pod, ok := s.config.Pod(caller.Account.Namespace, caller.Pod)
	if !ok {
		// A pod that has just started may be known in a moment.
		return status.Errorf(codes.NotFound, "%s is not known; wait and try again", name)
	}
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	switch {
	case pod.UID != caller.UID:
		return status.Errorf(codes.PermissionDenied, "%s is another one than the token is bound to", name)
	case account != caller.Account.Name:
		return status.Errorf(codes.PermissionDenied, "%s runs as the account %s and not as %s", name, account, caller.Account.Name)
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return status.Errorf(codes.PermissionDenied, "%s has ended (%s)", name, pod.Status.Phase)
	case !sidecar.Meshed(pod):
		return status.Errorf(codes.PermissionDenied, "%s has no container %s; label it or its namespace %s=%s and create it anew", name, sidecar.Container, sidecar.LabelInject, sidecar.InjectEnabled)
	}
	return nil
}

// addressOf is the caller's address without the port.
func addressOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
		return host
	}
	return p.Addr.String()
}
