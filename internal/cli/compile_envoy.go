package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/smi-project/smi/internal/render/envoy"
	"github.com/smi-project/smi/mesh"
)

// proxyClass is what the proxies of one class of pods are told.
type proxyClass struct {
	Account   string          `json:"account"`
	Pods      []string        `json:"pods"`
	Resources []proxyResource `json:"resources"`
}

type proxyResource struct {
	Type    string          `json:"type"`
	Name    string          `json:"name"`
	Version string          `json:"version"`
	Body    json.RawMessage `json:"body"`
}

// nowhere stands for the addresses that only a running pod has; it is of the
// range that RFC 5737 keeps for documentation.
var nowhere = envoy.Placement{SidecarAddress: "192.0.2.1", AppAddress: "192.0.2.2"}

// placement is where the sidecars are.
func (in *input) placement() envoy.Placement {
	if in.cluster == nil {
		return nowhere
	}
	return envoy.Placement{Cluster: true, IPv6: in.cluster.ipv6()}
}

// parseAccountFilter returns the account whose proxies are wanted, the zero one
// for all.
func parseAccountFilter(account, output string) (mesh.Account, error) {
	if account == "" {
		return mesh.Account{}, nil
	}
	if output == outputMesh {
		return mesh.Account{}, UsageErrorf("--account chooses proxies; it needs -o %s or -o %s", outputEnvoy, outputEnvoyJSON)
	}
	chosen, ok := parseName(account)
	if !ok {
		return mesh.Account{}, UsageErrorf("--account %q is not of the form NAMESPACE/SERVICEACCOUNT", account)
	}
	return chosen, nil
}

// printEnvoy prints what is rendered for each class of pods: a YAML document
// each, or one JSON list.
func (a *App) printEnvoy(in *input, account mesh.Account, asJSON bool) error {
	classes, err := renderClasses(in, account)
	if err != nil {
		return err
	}
	if len(classes) == 0 && account != (mesh.Account{}) {
		return fmt.Errorf("no pod of the mesh runs as %s", account)
	}
	if asJSON {
		return a.printObject(formatJSON, classes)
	}
	var out bytes.Buffer
	for i, c := range classes {
		if i > 0 {
			out.WriteString("---\n")
		}
		if err := c.writeYAML(&out); err != nil {
			return err
		}
	}
	_, err = a.Out.Write(out.Bytes())
	return err
}

// writeYAML writes the name of each resource before its long content, where an
// encoder would sort the fields.
func (c *proxyClass) writeYAML(out *bytes.Buffer) error {
	head, err := yaml.Marshal(map[string]any{"account": c.Account, "pods": c.Pods})
	if err != nil {
		return err
	}
	out.Write(head)
	out.WriteString("resources:\n")
	for _, r := range c.Resources {
		head, err := yaml.Marshal(map[string]string{"name": r.Name, "type": r.Type, "version": r.Version})
		if err != nil {
			return err
		}
		body, err := yaml.JSONToYAML(r.Body)
		if err != nil {
			return err
		}
		indented(out, head, "- ", "  ")
		out.WriteString("  body:\n")
		indented(out, body, "    ", "    ")
	}
	return nil
}

func indented(out *bytes.Buffer, text []byte, first, others string) {
	indent := first
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			out.WriteString(indent)
		}
		out.Write(line)
		indent = others
	}
}

func renderClasses(in *input, account mesh.Account) ([]proxyClass, error) {
	workloads := slices.DeleteFunc(slices.Clone(in.shown().Workloads), func(w *mesh.Workload) bool {
		return account != mesh.Account{} && w.Account != account
	})
	slices.SortFunc(workloads, func(a, b *mesh.Workload) int {
		return cmp.Or(a.Account.Compare(b.Account), slices.CompareFunc(a.Pods, b.Pods, mesh.Name.Compare))
	})
	proxies := make([]envoy.Proxy, len(workloads))
	for i, w := range workloads {
		proxies[i] = envoy.Proxy{Node: w.Pods[0].String(), Workload: w, Placement: in.placement()}
	}
	rendered := envoy.New(in.rendering()).Render(in.mesh, proxies, envoy.Epochs{})
	classes := make([]proxyClass, len(workloads))
	for i, w := range workloads {
		classes[i].Account = w.Account.String()
		for _, pod := range w.Pods {
			classes[i].Pods = append(classes[i].Pods, pod.String())
		}
		for _, r := range rendered[proxies[i].Node] {
			body, err := readable(r)
			if err != nil {
				return nil, err
			}
			classes[i].Resources = append(classes[i].Resources, proxyResource{Type: r.Type, Name: r.Name, Version: r.Version, Body: body})
		}
	}
	return classes, nil
}

// readable returns the content of a resource as JSON.
func readable(r *envoy.Resource) (json.RawMessage, error) {
	message, err := r.Any().UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", r.Name, err)
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", r.Name, err)
	}
	// protojson varies its spaces on purpose.
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("resource %s: %w", r.Name, err)
	}
	return compact.Bytes(), nil
}
