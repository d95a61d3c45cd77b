package worldgen

import (
	"encoding/json"
	"fmt"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
)

// Names that rules, bindings and splits use. "missing" never exists.
var (
	groupNames   = []string{"g0", "g1", "g2"}
	matchNames   = []string{"m0", "m1", "m2", "m3"}
	tcpNames     = []string{"t0", "t1"}
	bindingNames = []string{"b0", "b1"}
)

const missing = "missing"

func (b *builder) specs(namespace string) {
	for _, name := range groupNames[:b.between(2, 3)] {
		group := &specs.HTTPRouteGroup{ObjectMeta: meta(namespace, name)}
		count := b.between(1, 4)
		if b.percent(5) {
			count = 0
		}
		for _, match := range matchNames[:count] {
			group.Spec.Matches = append(group.Spec.Matches, b.match(match))
		}
		b.w.HTTPRouteGroups = append(b.w.HTTPRouteGroups, group)
	}
	for _, name := range tcpNames {
		route := &specs.TCPRoute{ObjectMeta: meta(namespace, name)}
		if b.percent(60) {
			route.Spec.Matches.Ports = b.routePorts()
		}
		if b.percent(30) {
			route.Spec.Matches.Name = "tcp"
		}
		b.w.TCPRoutes = append(b.w.TCPRoutes, route)
	}
	udp := &specs.UDPRoute{ObjectMeta: meta(namespace, "u0")}
	udp.Spec.Matches.Ports = b.routePorts()
	b.w.UDPRoutes = append(b.w.UDPRoutes, udp)
}

// routePorts are pod ports, and now and then the number of a Service port, which opens nothing.
func (b *builder) routePorts() []int {
	var ports []int
	for _, port := range some(b.dice, b.podPorts, b.between(1, 2)) {
		ports = append(ports, int(port))
	}
	if b.percent(15) {
		ports = append(ports, 80)
	}
	return ports
}

func (b *builder) match(name string) specs.HTTPMatch {
	match := specs.HTTPMatch{Name: name}
	if b.percent(50) {
		match.PathRegex = pick(b.dice, pathExpressions)
	}
	if b.percent(33) {
		match.Methods = pick(b.dice, methodLists)
	}
	if b.percent(20) {
		match.Headers = b.headers()
	}
	return match
}

// headers are in one of the two forms of SP-6; a list may name a header twice.
func (b *builder) headers() specs.HTTPHeaders {
	var list []map[string]string
	asMap := map[string]string{}
	for range b.between(1, 2) {
		condition := pick(b.dice, headerConditions)
		list = append(list, map[string]string{condition[0]: condition[1]})
		asMap[condition[0]] = condition[1]
	}
	var form any = list
	if b.percent(40) {
		form = asMap
	}
	raw, err := json.Marshal(form) // sorts the map's keys
	if err != nil {
		panic(fmt.Sprintf("strings have a JSON form: %v", err))
	}
	var headers specs.HTTPHeaders
	if err := json.Unmarshal(raw, &headers); err != nil {
		panic(fmt.Sprintf("headers read what JSON wrote: %v", err))
	}
	return headers
}
