package meshstatus

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/smi-project/smi/internal/config"
)

// The ConfigMap in the controller's namespace with its configuration file, and the
// file's key.
const (
	ConfigMap = "smi-controller-config"
	ConfigKey = "config.yaml"
)

// ReadConfig reads the configuration of the controller of a namespace. The API
// server's error is wrapped: NotFound where there is no mesh, Forbidden where
// ConfigMaps of the namespace may not be read.
func ReadConfig(ctx context.Context, client kubernetes.Interface, namespace string) (*config.Controller, error) {
	held, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, ConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	parsed, err := config.Parse([]byte(held.Data[ConfigKey]))
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %s: %w", namespace, ConfigMap, ConfigKey, err)
	}
	return parsed, nil
}
