package proxyview

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sectionsOf are the parts of a dump that a kind is in, as Envoy calls them.
var sectionsOf = map[string][]string{
	"access": {"EcdsConfigDump"}, "bootstrap": {"BootstrapConfigDump"}, "clusters": {"ClustersConfigDump"}, "endpoints": {"EndpointsConfigDump"},
	"listeners": {"ListenersConfigDump"}, "routes": {"RoutesConfigDump", "ScopedRoutesConfigDump"}, "secrets": {"SecretsConfigDump"},
}

// Kinds are the kinds of configuration, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(sectionsOf)) }

// Select is the part of an answer for PathConfig that is of a kind; all of it where
// the kind is empty.
func Select(config []byte, kind string) (any, error) {
	var dump struct {
		Configs []object `json:"configs"`
	}
	if err := json.Unmarshal(config, &dump); err != nil {
		return nil, fmt.Errorf("what Envoy says of its configuration: %w", err)
	}
	if kind == "" {
		return dump.Configs, nil
	}
	return slices.DeleteFunc(dump.Configs, func(section object) bool {
		name := text(section, "@type")
		return !slices.Contains(sectionsOf[kind], name[strings.LastIndex(name, ".")+1:])
	}), nil
}
