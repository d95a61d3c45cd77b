package envoytest

import (
	"net"
	"path/filepath"
	"strconv"
)

// bootstrap reads everything from files.
func bootstrap(dir, logAddress string) map[string]any {
	source := func(file string) any {
		return map[string]any{"resource_api_version": "V3", "path_config_source": map[string]any{"path": filepath.Join(dir, file)}}
	}
	return map[string]any{
		"node":  map[string]any{"id": "test", "cluster": "test"},
		"admin": map[string]any{"address": address("127.0.0.1", 0)},
		"bootstrap_extensions": []any{map[string]any{
			"name":         "envoy.bootstrap.internal_listener",
			"typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
		}},
		"dynamic_resources": map[string]any{"lds_config": source("listeners.json"), "cds_config": source("clusters.json")},
		"static_resources":  map[string]any{"clusters": []any{logCluster(logAddress)}},
		"layered_runtime": map[string]any{"layers": []any{map[string]any{
			"name": "smi", "static_layer": map[string]any{"re2.max_program_size.error_level": 1<<32 - 1},
		}}},
	}
}

// staticBootstrap has the listeners and clusters in itself, so that Envoy
// judges them without running.
func staticBootstrap(dir string, c Config) (any, error) {
	b := bootstrap(dir, c.LogAddress)
	delete(b, "dynamic_resources")
	listeners, clusters := []any{}, []any{logCluster(c.LogAddress)}
	for _, r := range c.Resources {
		tree, err := toTree(dir, r)
		if err != nil {
			return nil, err
		}
		delete(tree.(map[string]any), "@type")
		switch r.Type {
		case typeListener:
			listeners = append(listeners, tree)
		case typeCluster:
			clusters = append(clusters, tree)
		}
	}
	b["static_resources"] = map[string]any{"listeners": listeners, "clusters": clusters}
	return b, nil
}

// logCluster is where the access log goes: a service of the test, or nowhere.
func logCluster(logAddress string) any {
	endpoints := []any{}
	if host, port, err := net.SplitHostPort(logAddress); err == nil {
		n, _ := strconv.Atoi(port)
		endpoints = append(endpoints, map[string]any{"lb_endpoints": []any{
			map[string]any{"endpoint": map[string]any{"address": address(host, n)}},
		}})
	}
	return map[string]any{
		"name": "smi-als", "connect_timeout": "1s",
		"load_assignment": map[string]any{"cluster_name": "smi-als", "endpoints": endpoints},
		"typed_extension_protocol_options": map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
			"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
			"explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}},
		}},
	}
}

func address(host string, port int) any {
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": port}}
}
