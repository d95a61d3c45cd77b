package spec

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"text/template"

	"github.com/smi-project/smi/test/cluster/internal/build"
	"github.com/smi-project/smi/test/cluster/internal/layout"
	"github.com/smi-project/smi/test/cluster/internal/pki"
)

//go:embed files
var files embed.FS

func (c Cluster) containerd() Process {
	return Process{
		Name:   "containerd",
		Path:   c.program("containerd", "containerd"),
		Args:   []string{flag("config", dir.Config("containerd.toml"))},
		Search: c.folder("containerd"),
		Ready:  "unix://" + dir.Containerd(),
	}
}

func (c Cluster) kubelet() Process {
	return Process{
		Name: "kubelet",
		Path: c.program("kubernetes", "kubelet"),
		Args: []string{
			flag("config", dir.Config("kubelet.yaml")),
			flag("kubeconfig", dir.Config(pki.Kubelet+".kubeconfig")),
			flag("root-dir", dir.Join("kubelet")),
			flag("hostname-override", c.Name),
			flag("node-ip", c.Plan.Node.V4.Addr().String()+","+c.Plan.Node.V6.Addr().String()),
		},
		Ready: "http://127.0.0.1:10248/healthz",
		After: []string{"kube-apiserver", "containerd"},
	}
}

func (c Cluster) proxy() Process {
	return Process{
		Name:  "kube-proxy",
		Path:  c.program("kubernetes", "kube-proxy"),
		Args:  []string{flag("config", dir.Config("kube-proxy.yaml"))},
		Ready: "http://127.0.0.1:10256/livez",
		After: []string{"kube-apiserver"},
	}
}

// configurations are the files of components, by the name of their template.
var configurations = []string{"containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "cni.conflist", "resolv.conf"}

// Configure writes the components' configuration files into the cluster's
// folder, which the caller sees as folder.
func (c Cluster) Configure(folder layout.Dir) error {
	for _, name := range configurations {
		text, err := c.render(name)
		if err != nil {
			return err
		}
		target := folder.Config(name)
		if name == "cni.conflist" {
			target = folder.Join("cni", "10-"+name)
		}
		if err := os.WriteFile(target, text, 0o600); err != nil {
			return fmt.Errorf("write the configuration %s: %w", name, err)
		}
	}
	return nil
}

// Addons gives the manifests of what runs in the cluster from the beginning.
func (c Cluster) Addons() ([]byte, error) {
	return c.render("coredns.yaml")
}

func (c Cluster) render(name string) ([]byte, error) {
	parsed, err := template.New(name).Option("missingkey=error").ParseFS(files, "files/"+name)
	if err != nil {
		return nil, fmt.Errorf("template of %s: %w", name, err)
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, map[string]any{
		"Name":         c.Name,
		"Dir":          dir,
		"Plan":         c.Plan,
		"CNI":          c.folder("cni"),
		"PauseImage":   build.PauseImage,
		"CoreDNSImage": build.CoreDNSImage,
	})
	if err != nil {
		return nil, fmt.Errorf("template of %s: %w", name, err)
	}
	return out.Bytes(), nil
}
