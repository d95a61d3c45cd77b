package envoy

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const typeURLPrefix = "type.googleapis.com/"

// typed packs an extension's configuration.
func typed(message proto.Message) *anypb.Any {
	return &anypb.Any{TypeUrl: typeURL(message), Value: encode(message)}
}

// typeURL is the type URL of a message.
func typeURL(message proto.Message) string {
	return typeURLPrefix + string(message.ProtoReflect().Descriptor().FullName())
}

func extension(name string, message proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: typed(message)}
}

func networkFilter(name string, message proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(message)}}
}

func listenerFilter(name string, message proto.Message) *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{Name: name, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: typed(message)}}
}

func httpFilter(name string, message proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed(message)}}
}

// discovered is the source of an extension's configuration that comes by ECDS.
// A listener waits for it however long it takes, and the one before it serves
// meanwhile.
func discovered(message proto.Message) *corev3.ExtensionConfigSource {
	source := ads()
	source.InitialFetchTimeout = seconds(0)
	return &corev3.ExtensionConfigSource{ConfigSource: source, TypeUrls: []string{typeURL(message)}}
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

// extensionResource is an extension's configuration as a resource of its own.
func extensionResource(name string, message proto.Message) *Resource {
	return newResource(name, extension(name, message))
}

func seconds(n float64) *durationpb.Duration {
	return durationpb.New(time.Duration(n * float64(time.Second)))
}

func text(s string) *corev3.SubstitutionFormatString {
	return &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: inline(s)},
	}
}

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

func socketAddress(address string, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func yes() *wrapperspb.BoolValue { return wrapperspb.Bool(true) }

func no() *wrapperspb.BoolValue { return wrapperspb.Bool(false) }
