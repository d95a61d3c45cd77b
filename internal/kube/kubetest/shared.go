package kubetest

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Shared is one API server for the tests of a package, which run one after the other
// and clean up what the next must not find. The first that needs it starts it.
type Shared struct {
	once   sync.Once
	server *envtest.Environment
	config *rest.Config
	err    error
}

// Main runs the tests, ends the server and the process. It is for TestMain.
func (s *Shared) Main(m *testing.M) {
	code := m.Run()
	if s.server != nil {
		if err := s.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Start returns what StartWithKey does.
func (s *Shared) Start(t testing.TB) (config *rest.Config, keyFile string) {
	t.Helper()
	s.once.Do(func() { s.server, s.config, s.err = start() })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return rest.CopyConfig(s.config), keyOf(s.server)
}
