package node

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/network"
	"github.com/smi-project/smi/test/cluster/internal/spec"
)

// Interface is the name of the node's end of the link.
const Interface = "eth0"

// Config is what the node is told when it starts.
type Config struct {
	Name string `json:"name"`
	// State and Cache are the cluster's folder and the cache of programs, as the
	// machine sees them.
	State layout.Dir `json:"state"`
	Cache string     `json:"cache"`
	// Plan has the addresses; the link's interface is there already.
	Plan network.Plan `json:"plan"`
	// Processes are the components.
	Processes []spec.Process `json:"processes"`
}

// configFile is the file in the cluster's folder that holds a Config.
const configFile = "node.json"

// Write puts the configuration into the cluster's folder.
func (c Config) Write() error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write the node's configuration: %w", err)
	}
	return os.WriteFile(c.State.Join(configFile), text, 0o600)
}

func read(state layout.Dir) (Config, error) {
	var c Config
	text, err := os.ReadFile(state.Join(configFile))
	if err != nil {
		return c, fmt.Errorf("read the node's configuration: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read the node's configuration %s: %w", state.Join(configFile), err)
	}
	return c, nil
}
