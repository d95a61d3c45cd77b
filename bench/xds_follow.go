package main

import (
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

const deltaMethod = discovery.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName

// ask sends the first requests. An Envoy asks for all clusters, and for all else
// when it knows them.
func (p *fleetProxy) ask() error {
	node := &corev3.Node{Id: p.node}
	if p.fleet.references != nil {
		return p.stream.SendMsg(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: typeCluster})
	}
	for _, typeURL := range []string{typeCluster, typeEndpoints, typeListener, typeRoutes, typeExtension} {
		err := p.stream.SendMsg(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: typeURL, ResourceNamesSubscribe: []string{"*"}})
		if err != nil {
			return err
		}
	}
	return nil
}

// follow acknowledges whatever comes.
func (p *fleetProxy) follow() {
	for {
		response := received{known: p.fleet.references}
		err := p.stream.RecvMsg(&response)
		if err == nil {
			err = p.take(&response)
		}
		if err != nil {
			select {
			case p.fleet.failed <- fmt.Errorf("proxy %s: %w", p.node, err):
			default:
			}
			return
		}
		p.fleet.last.Store(time.Now().UnixNano())
		p.responses.Add(1)
		p.bytes.Add(int64(response.bytes))
	}
}

// take acknowledges a response, after it has asked for what that refers to, as an
// Envoy does: a cluster is acknowledged when its endpoints were asked for.
func (p *fleetProxy) take(response *received) error {
	begins := p.fleet.references != nil && response.typeURL == typeCluster && p.asked == nil
	names := map[string][]string{}
	for _, r := range response.refers {
		if p.asked[r] {
			continue
		}
		if p.asked == nil {
			p.asked = map[reference]bool{}
		}
		p.asked[r] = true
		names[r.typeURL] = append(names[r.typeURL], r.name)
	}
	for _, typeURL := range []string{typeEndpoints, typeRoutes, typeExtension} {
		if len(names[typeURL]) == 0 {
			continue
		}
		if err := p.stream.SendMsg(&discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names[typeURL]}); err != nil {
			return err
		}
	}
	if err := p.stream.SendMsg(&discovery.DeltaDiscoveryRequest{TypeUrl: response.typeURL, ResponseNonce: response.nonce}); err != nil {
		return err
	}
	if !begins {
		return nil
	}
	if p.asked == nil {
		p.asked = map[reference]bool{}
	}
	return p.stream.SendMsg(&discovery.DeltaDiscoveryRequest{TypeUrl: typeListener})
}
