package envoytest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Body is what the package needs of a resource.
type Body struct {
	// Type is the type URL.
	Type, Name string
	Message    proto.Message
}

const (
	typeListener  = "type.googleapis.com/envoy.config.listener.v3.Listener"
	typeEndpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
	typeCluster   = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
)

// write puts the resources into files of the folder: one with all listeners,
// one with all clusters, one per resource of any other type.
func write(dir string, bodies []Body) error {
	listeners, clusters := []any{}, []any{}
	for _, b := range bodies {
		tree, err := toTree(dir, b)
		if err != nil {
			return err
		}
		switch b.Type {
		case typeListener:
			listeners = append(listeners, tree)
		case typeCluster:
			clusters = append(clusters, tree)
		default:
			name := b.Name
			if b.Type == typeEndpoints {
				name = "endpoints|" + name
			}
			if err := replace(resourceFile(dir, name), response(tree)); err != nil {
				return err
			}
		}
	}
	if err := replace(filepath.Join(dir, "clusters.json"), response(clusters...)); err != nil {
		return err
	}
	return replace(filepath.Join(dir, "listeners.json"), response(listeners...))
}

func response(resources ...any) any { return map[string]any{"resources": resources} }

// replace writes a file so that Envoy, which watches for moves, sees all of it.
func replace(path string, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return nil
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func resourceFile(dir, name string) string {
	return filepath.Join(dir, url.PathEscape(name)+".json")
}

func toTree(dir string, b Body) (any, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b.Message)
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", b.Name, err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	tree["@type"] = b.Type
	redirect(dir, tree)
	return tree, nil
}

// redirect turns every reference to a discovery service into one to a file.
func redirect(dir string, tree any) {
	switch node := tree.(type) {
	case []any:
		for _, child := range node {
			redirect(dir, child)
		}
	case map[string]any:
		if rds, ok := node["rds"].(map[string]any); ok {
			rds["config_source"] = fileSource(dir, rds["route_config_name"])
		}
		if discovery, ok := node["config_discovery"].(map[string]any); ok {
			discovery["config_source"] = fileSource(dir, node["name"])
		}
		if eds, ok := node["eds_cluster_config"].(map[string]any); ok {
			eds["eds_config"] = fileSource(dir, "endpoints|"+node["name"].(string))
		}
		if _, ok := node["sds_config"]; ok {
			node["sds_config"] = fileSource(dir, "secret|"+node["name"].(string))
		}
		for _, child := range node {
			redirect(dir, child)
		}
	}
}

func fileSource(dir string, name any) any {
	return map[string]any{
		"resource_api_version": "V3",
		"path_config_source":   map[string]any{"path": resourceFile(dir, name.(string))},
	}
}
