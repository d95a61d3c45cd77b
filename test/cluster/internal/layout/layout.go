package layout

import "path/filepath"

// Node is the cluster's folder as it is seen from inside the node. It does not
// depend on the cluster's name, so that paths of sockets stay short.
const Node Dir = "/run/smi-cluster"

// DefaultState is where clusters live on the machine.
const DefaultState = "/var/lib/smi-cluster"

// Dir is the folder of one cluster.
type Dir string

// Join gives the path of something in the folder.
func (d Dir) Join(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// State is the record of the cluster: see host.State.
func (d Dir) State() string { return d.Join("state.json") }

// Control is the socket at which the node's supervisor takes orders.
func (d Dir) Control() string { return d.Join("control.sock") }

// Containerd is the socket of containerd.
func (d Dir) Containerd() string { return d.Join("containerd.sock") }

// Kubeconfig is the administrator's way in.
func (d Dir) Kubeconfig() string { return d.Join("kubeconfig") }

// Cache is where the cache of programs is seen inside the node.
func (d Dir) Cache() string { return d.Join("cache") }

// Logs is the folder of the components' logs.
func (d Dir) Logs() string { return d.Join("logs") }

// Log is the log of one component.
func (d Dir) Log(component string) string { return filepath.Join(d.Logs(), component+".log") }

// VarLog is what the node sees as /var/log.
func (d Dir) VarLog() string { return d.Join("var-log") }

// VarLib is what the node sees as /var/lib.
func (d Dir) VarLib() string { return d.Join("var-lib") }

// PKI is the folder of keys and certificates.
func (d Dir) PKI() string { return d.Join("pki") }

// Key and Certificate give the two files of a key pair.
func (d Dir) Key(name string) string { return filepath.Join(d.PKI(), name+".key") }

// Certificate is the certificate of the key pair with that name.
func (d Dir) Certificate(name string) string { return filepath.Join(d.PKI(), name+".crt") }

// Config is a configuration file of a component.
func (d Dir) Config(name string) string { return d.Join("config", name) }
