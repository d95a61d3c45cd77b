package pki

import (
	"encoding/base64"
	"fmt"
	"os"

	"github.com/smi-project/smi/test/cluster/internal/layout"
)

// kubeconfig has everything inline, so that it can be copied elsewhere.
const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[4]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[4]s}
current-context: %[1]s
`

// Kubeconfig writes how the holder of the key pair user reaches the API server.
func Kubeconfig(dir layout.Dir, file, cluster, server, user string) error {
	var data []any
	for _, name := range []string{dir.Certificate("ca"), dir.Certificate(user), dir.Key(user)} {
		content, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("write the kubeconfig of %s: %w", user, err)
		}
		data = append(data, base64.StdEncoding.EncodeToString(content))
	}
	text := fmt.Sprintf(kubeconfig, cluster, server, data[0], user, data[1], data[2])
	return os.WriteFile(file, []byte(text), 0o600) //nolint:gosec // all names are those of this package and of the cluster's folder
}
