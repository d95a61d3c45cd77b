package proxyview

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// endpointsOf counts the addresses of each cluster.
func endpointsOf(sections []object) map[string]int {
	counts := map[string]int{}
	for _, section := range sections {
		for _, resources := range section {
			for _, r := range list(resources) {
				config := asObject(r["endpoint_config"])
				for _, locality := range list(at(config, "endpoints")) {
					counts[text(config, "cluster_name")] += len(list(locality["lb_endpoints"]))
				}
			}
		}
	}
	return counts
}

// collectReach takes over where a resource lets the application go.
func collectReach(reaches map[string]*Reach, r object, endpoints map[string]int) {
	name := nameOf(r)
	switch {
	case r["route_config"] != nil && strings.HasPrefix(name, "outbound|"):
		reach := reachOf(reaches, name, "http")
		for _, host := range list(at(r, "route_config", "virtual_hosts")) {
			for _, route := range list(host["routes"]) {
				reach.via(text(route, "metadata", "filter_metadata", "smi", "split"), asObject(route["route"]), endpoints)
			}
		}
	case r["ecds_filter"] != nil && strings.HasPrefix(name, "tcp|"):
		reach := reachOf(reaches, name, "tcp")
		reach.via("", asObject(at(r, "ecds_filter", "typed_config")), endpoints)
	case r["cluster"] != nil && strings.HasPrefix(name, "pods|"):
		to := "pods of " + strings.TrimPrefix(name, "pods|")
		reaches[to] = &Reach{To: to, Destinations: []Destination{}}
	}
}

func reachOf(reaches map[string]*Reach, name, protocol string) *Reach {
	to := serviceOf(name)
	if reaches[to] == nil {
		reaches[to] = &Reach{To: to, Protocol: protocol, Destinations: []Destination{}}
	}
	return reaches[to]
}

// serviceOf reads "outbound|9080|web.shop", which is shop/web:9080.
func serviceOf(name string) string {
	parts := strings.Split(name, "|")
	if len(parts) != 3 {
		return name
	}
	service, namespace, ok := strings.Cut(parts[2], ".")
	if !ok {
		return name
	}
	return namespace + "/" + service + ":" + parts[1]
}

// via takes over where a route, or a TCP proxy, leads.
func (r *Reach) via(split string, route object, endpoints map[string]int) {
	if split != "" && !slices.Contains(r.Splits, split) {
		r.Splits = append(r.Splits, split)
	}
	if cluster := text(route, "cluster"); cluster != "" {
		r.add(cluster, 0, endpoints)
	}
	for _, c := range list(at(route, "weighted_clusters", "clusters")) {
		weight, _ := c["weight"].(float64)
		r.add(text(c, "name"), int(weight), endpoints)
	}
}

func (r *Reach) add(cluster string, weight int, endpoints map[string]int) {
	d := Destination{Service: serviceOf(cluster), Weight: weight, Endpoints: endpoints[cluster]}
	if !slices.Contains(r.Destinations, d) {
		r.Destinations = append(r.Destinations, d)
	}
}

// collectCallers takes over who may send, from the rules of a port: "access|9080", or
// "grant|9080" for connections, with the filter chain's label behind it.
func collectCallers(callers map[callerKey]map[string]bool, r object) {
	parts := strings.Split(nameOf(r), "|")
	if r["ecds_filter"] == nil || len(parts) < 2 || parts[0] != "access" && parts[0] != "grant" {
		return
	}
	port, err := strconv.Atoi(parts[1])
	if err != nil {
		return
	}
	rules := at(r, "ecds_filter", "typed_config")
	if rules := asObject(rules); rules["matcher"] == nil && rules["rules"] == nil {
		return // such a filter decides nothing
	}
	walk(rules, "", func(caller, grant string) {
		key := callerKey{port, caller}
		if callers[key] == nil {
			callers[key] = map[string]bool{}
		}
		callers[key][grant] = true
	})
}

// callerKey is somebody at a port.
type callerKey struct {
	port   int
	caller string
}

// inbound puts in order who may send: by port, the rest of the ports last.
func inbound(callers map[callerKey]map[string]bool) []Inbound {
	all := []Inbound{}
	for key, grants := range callers {
		all = append(all, Inbound{Port: key.port, Caller: key.caller, Grants: slices.Sorted(maps.Keys(grants))})
	}
	slices.SortFunc(all, func(a, b Inbound) int {
		return cmp.Or(cmp.Compare(min(b.Port, 1), min(a.Port, 1)), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Caller, b.Caller))
	})
	return all
}

// walk calls found for every rule that lets somebody pass. Rules of a principal are
// below a key that names it.
func walk(value any, caller string, found func(caller, grant string)) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			walk(v, caller, found)
		}
	case object:
		if strings.HasSuffix(text(value, "@type"), "envoy.config.rbac.v3.Action") {
			if text(value, "action") != "DENY" {
				found(cmp.Or(caller, Anybody), text(value, "name"))
			}
			return
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			below := caller
			if i := strings.LastIndex(key, spiffe); i >= 0 {
				below = account(key[i:])
			}
			walk(value[key], below, found)
		}
	}
}

// account is the short form of a SPIFFE id, "namespace/name", where it names one.
func account(id string) string {
	parts := strings.Split(strings.TrimPrefix(id, spiffe), "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return id
	}
	return parts[2] + "/" + parts[4]
}
