package compile

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/smi-project/smi/mesh"
)

// ModeOf returns the mode of a namespace's workloads (AC-16), for who has to know
// it before there are any.
func (c Config) ModeOf(namespace *corev1.Namespace) mesh.Mode {
	config := c.withDefaults()
	return buildMode(modeInputs{object: namespace, config: modeConfig{standard: config.Mode, floor: config.Floor}}).mode
}
