package proxyview

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// View is what a proxy has.
type View struct {
	// Identity is the SPIFFE id of the proxy's certificate, Expires when that ends;
	// empty and zero where there is none.
	Identity string    `json:"identity"`
	Expires  time.Time `json:"expires,omitzero"`
	// Updated is when the proxy last took something over.
	Updated time.Time `json:"updated,omitzero"`
	Inbound []Inbound `json:"inbound"`
	Reaches []Reach   `json:"reaches"`
	// Refused is what the proxy refuses.
	Refused []Refusal `json:"refused"`
}

// Inbound is who may send to a port of the pod.
type Inbound struct {
	// Port is 0 for all ports that have no line of their own.
	Port int `json:"port"`
	// Caller is an account, "namespace/name", a SPIFFE id of another trust domain, or
	// Anybody.
	Caller string `json:"caller"`
	// Grants are the TrafficTargets that say so, or why nobody is asked.
	Grants []string `json:"grants"`
}

// Anybody stands for callers without and with identity.
const Anybody = "anybody"

// Reach is where the proxy lets its application go.
type Reach struct {
	// To is "namespace/service:port", or "pods of namespace/account".
	To string `json:"to"`
	// Protocol is http or tcp, empty for pods, which may speak both.
	Protocol string `json:"protocol,omitempty"`
	// Splits are the TrafficSplits that apply.
	Splits []string `json:"splits,omitempty"`
	// Destinations are the Services behind it, with their weights where they share.
	Destinations []Destination `json:"destinations"`
}

// Destination is a Service that gets a share.
type Destination struct {
	Service string `json:"service"`
	Weight  int    `json:"weight,omitempty"`
	// Endpoints is how many addresses are known.
	Endpoints int `json:"endpoints"`
}

// Refusal is a resource of which the proxy keeps an older version.
type Refusal struct {
	Resource string    `json:"resource"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at,omitzero"`
}

// object is a JSON object.
type object = map[string]any

// Parse reads the answers for PathConfig and PathCertificates.
func Parse(config, certificates []byte) (*View, error) {
	var dump, held object
	if err := json.Unmarshal(config, &dump); err != nil {
		return nil, fmt.Errorf("what Envoy says of its configuration: %w", err)
	}
	if err := json.Unmarshal(certificates, &held); err != nil {
		return nil, fmt.Errorf("what Envoy says of its certificates: %w", err)
	}
	v := &View{Inbound: []Inbound{}, Reaches: []Reach{}, Refused: []Refusal{}}
	sections := list(dump["configs"])
	endpoints := endpointsOf(sections)
	reaches, callers := map[string]*Reach{}, map[callerKey]map[string]bool{}
	for _, section := range sections {
		for _, resources := range section {
			for _, r := range list(resources) {
				v.note(r)
				collectReach(reaches, r, endpoints)
				collectCallers(callers, r)
			}
		}
	}
	for _, to := range slices.Sorted(maps.Keys(reaches)) {
		v.Reaches = append(v.Reaches, *reaches[to])
	}
	v.Inbound = inbound(callers)
	v.identify(held)
	slices.SortFunc(v.Refused, func(a, b Refusal) int { return cmp.Compare(a.Resource, b.Resource) })
	return v, nil
}

// list are the objects of a JSON array.
func list(value any) []object {
	values, _ := value.([]any)
	var all []object
	for _, v := range values {
		if o, ok := v.(object); ok {
			all = append(all, o)
		}
	}
	return all
}

// at is what is in objects within each other, or nil.
func at(value any, path ...string) any {
	for _, name := range path {
		o, _ := value.(object)
		value = o[name]
	}
	return value
}

func text(value any, path ...string) string {
	s, _ := at(value, path...).(string)
	return s
}

func moment(value any, path ...string) time.Time {
	t, err := time.Parse(time.RFC3339, text(value, path...))
	if err != nil {
		return time.Time{}
	}
	return t
}

// note takes over when a resource came, and whether a newer one was refused.
func (v *View) note(r object) {
	for _, state := range []object{r, asObject(r["active_state"])} {
		if came := moment(state, "last_updated"); came.After(v.Updated) {
			v.Updated = came
		}
	}
	failed := asObject(r["error_state"])
	if failed == nil {
		return
	}
	v.Refused = append(v.Refused, Refusal{Resource: nameOf(r), Reason: text(failed, "details"), At: moment(failed, "last_update_attempt")})
}

func asObject(value any) object {
	o, _ := value.(object)
	return o
}

// nameOf is the name of a resource, whichever kind it has.
func nameOf(r object) string {
	for _, path := range [][]string{
		{"name"}, {"cluster", "name"}, {"route_config", "name"}, {"ecds_filter", "name"}, {"endpoint_config", "cluster_name"},
		{"error_state", "failed_configuration", "name"},
	} {
		if name := text(r, path...); name != "" {
			return name
		}
	}
	return "a resource without a name"
}

// identify looks for the pod's own certificate: the first that names an account.
func (v *View) identify(held object) {
	for _, c := range list(held["certificates"]) {
		for _, link := range list(c["cert_chain"]) {
			for _, name := range list(link["subject_alt_names"]) {
				uri := text(name, "uri")
				ends := moment(link, "expiration_time")
				if !strings.HasPrefix(uri, spiffe) || !ends.After(v.Expires) {
					continue
				}
				v.Identity, v.Expires = uri, ends
			}
		}
	}
}

const spiffe = "spiffe://"
