package envoy

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	valuev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	netstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"

	"github.com/smi-project/smi/mesh"
)

// Names of what filters tell later filters and the access log.
const (
	// stateKey is what grants are looked up by (see sourceKey).
	stateKey = "smi.key"
	// stateSource is the verified identity of the client.
	stateSource = "smi.source"
	// stateXFCC is the value of x-forwarded-client-cert, absent without identity.
	stateXFCC = "smi.xfcc"
	// statePath is the path without its query.
	statePath = "smi.path"
	// stateServerName overrides the server name towards upstreams. It is Envoy's
	// own name.
	stateServerName = "envoy.network.upstream_server_name"
	// stateDestination is where a connection was going when it was redirected, for
	// the filter original_dst of an internal listener. It is Envoy's own name.
	stateDestination = "envoy.filters.listener.original_dst.local_ip"
)

func stateValue(key, format string, share valuev3.FilterStateValue_SharedWithUpstream) *valuev3.FilterStateValue {
	factory := "envoy.string"
	if key == stateServerName || key == stateDestination {
		factory = key
	}
	return &valuev3.FilterStateValue{
		Key:                &valuev3.FilterStateValue_ObjectKey{ObjectKey: key},
		FactoryKey:         factory,
		Value:              &valuev3.FilterStateValue_FormatString{FormatString: text(format)},
		SharedWithUpstream: share,
	}
}

// peerIdentity states who the client has proved to be, once its handshake is
// done.
func peerIdentity() *listenerv3.Filter {
	return networkFilter("smi.identity", &netstatev3.Config{OnDownstreamTlsHandshake: peerState(valuev3.FilterStateValue_NONE)})
}

// sharedPeerIdentity states it for an internal listener as well. Envoy pools
// connections to an internal listener, and a pool keeps what its first user
// shared: without a name of its own in the pool's key, which the connection's
// number provides, a peer would be taken for another one that came before.
func sharedPeerIdentity() *listenerv3.Filter {
	values := append(peerState(valuev3.FilterStateValue_ONCE), poolOfItsOwn)
	return networkFilter("smi.identity", &netstatev3.Config{OnDownstreamTlsHandshake: values})
}

var poolOfItsOwn = stateValue(stateServerName, "%CONNECTION_ID%", valuev3.FilterStateValue_NONE)

// destination tells an internal listener where a connection was going. It is what
// the kernel says, and nothing that a client could write.
var destination = stateValue(stateDestination, "%DOWNSTREAM_LOCAL_ADDRESS%", valuev3.FilterStateValue_ONCE)

// sharedPeerOnCluster is sharedPeerIdentity with the destination.
func sharedPeerOnCluster() *listenerv3.Filter {
	values := append(peerState(valuev3.FilterStateValue_ONCE), poolOfItsOwn)
	return networkFilter("smi.identity", &netstatev3.Config{
		OnNewConnection: []*valuev3.FilterStateValue{destination}, OnDownstreamTlsHandshake: values,
	})
}

// noPeerOnCluster is noIdentity with the destination.
func noPeerOnCluster() *listenerv3.Filter {
	return networkFilter("smi.identity", &netstatev3.Config{OnNewConnection: []*valuev3.FilterStateValue{
		stateValue(stateKey, keyPlaintext, valuev3.FilterStateValue_ONCE), destination, poolOfItsOwn,
	}})
}

func peerState(share valuev3.FilterStateValue_SharedWithUpstream) []*valuev3.FilterStateValue {
	return []*valuev3.FilterStateValue{
		stateValue(stateKey, "%REQUESTED_SERVER_NAME% %DOWNSTREAM_PEER_URI_SAN%", share),
		stateValue(stateSource, "%DOWNSTREAM_PEER_URI_SAN%", share),
		stateValue(stateXFCC, "URI=%DOWNSTREAM_PEER_URI_SAN%", share),
	}
}

// keyPlaintext is the key of peers without identity. No peer with one has it,
// since theirs contain their identity.
const keyPlaintext = "plaintext"

// noIdentity states that the client has none, for ports that serve it all the
// same (AC-16, AC-18).
func noIdentity() *listenerv3.Filter {
	return networkFilter("smi.identity", &netstatev3.Config{OnNewConnection: []*valuev3.FilterStateValue{
		stateValue(stateKey, keyPlaintext, valuev3.FilterStateValue_ONCE),
	}})
}

// ownIdentity states, on the client's side, who sends, and the server name that
// stands for it.
func ownIdentity(p mesh.Principal) *listenerv3.Filter {
	return identityFilter(string(p), SourceName(p))
}

func identityFilter(principal, serverName string) *listenerv3.Filter {
	return networkFilter("smi.identity", &netstatev3.Config{OnNewConnection: []*valuev3.FilterStateValue{
		stateValue(stateSource, principal, valuev3.FilterStateValue_ONCE),
		stateValue(stateServerName, serverName, valuev3.FilterStateValue_NONE),
	}})
}
