package accesslog

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The numbers of fields are those of the generated types.
func TestFieldTags(t *testing.T) {
	type names map[string]uint64
	for _, c := range []struct {
		message proto.Message
		fields  names
	}{
		{&servicev3.StreamAccessLogsMessage{}, names{"http_logs": messageHTTP, "tcp_logs": messageTCP}},
		{&servicev3.StreamAccessLogsMessage_HTTPAccessLogEntries{}, names{"log_entry": entriesItem}},
		{&servicev3.StreamAccessLogsMessage_TCPAccessLogEntries{}, names{"log_entry": entriesItem}},
		{&datav3.HTTPAccessLogEntry{}, names{"common_properties": entryCommon, "request": entryRequest, "response": entryResponse}},
		{&datav3.TCPAccessLogEntry{}, names{"common_properties": entryCommon}},
		{&datav3.AccessLogCommon{}, names{
			"tls_properties": commonTLS, "start_time": commonStart, "time_to_last_downstream_tx_byte": commonLastSent,
			"upstream_remote_address": commonHost, "upstream_cluster": commonCluster, "response_flags": commonFlags,
			"metadata": commonMetadata, "custom_tags": commonTag, "duration": commonDuration,
			"intermediate_log_entry": commonIntermediate, "access_log_type": commonType,
		}},
		{&datav3.HTTPRequestProperties{}, names{
			"request_method": requestMethod, "authority": requestAuthority, "path": requestPath, "request_headers": requestHeader,
		}},
		{&datav3.HTTPResponseProperties{}, names{
			"response_code": responseCode, "response_headers": responseHeader, "response_trailers": responseTrailer,
			"response_code_details": responseDetails,
		}},
		{&datav3.TLSProperties{}, names{"peer_certificate_properties": tlsPeer}},
		{&datav3.TLSProperties_CertificateProperties{}, names{"subject_alt_name": certificateName}},
		{&datav3.TLSProperties_CertificateProperties_SubjectAltName{}, names{"uri": nameURI}},
		{&corev3.Address{}, names{"socket_address": addressSocket, "pipe": addressPipe, "envoy_internal_address": addressInternal}},
		{&corev3.SocketAddress{}, names{"address": socketHost, "port_value": socketPort}},
		{&corev3.Pipe{}, names{"path": addressName}},
		{&corev3.EnvoyInternalAddress{}, names{"server_listener_name": addressName}},
		{&corev3.Metadata{}, names{"filter_metadata": metadataFilter}},
		{&structpb.Struct{}, names{"fields": structField}},
		{&structpb.Value{}, names{"string_value": valueString}},
		{&wrapperspb.UInt32Value{}, names{"value": wrappedValue}},
		{&timestamppb.Timestamp{}, names{"seconds": timeSeconds, "nanos": timeNanos}},
		{&durationpb.Duration{}, names{"seconds": timeSeconds, "nanos": timeNanos}},
	} {
		d := c.message.ProtoReflect().Descriptor()
		for name, got := range c.fields {
			f := d.Fields().ByName(protoreflect.Name(name))
			if f == nil {
				t.Fatalf("%s has no %s", d.FullName(), name)
			}
			kind := length
			switch f.Kind() {
			case protoreflect.EnumKind, protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind:
				kind = varint
			}
			if want := uint64(f.Number())<<3 | kind; got != want {
				t.Errorf("%s is read by the tag %d, and has %d", f.FullName(), got, want)
			}
		}
	}
}

// encode is the message that Envoy would send of those entries; it sends either.
func encode(t testing.TB, https []*datav3.HTTPAccessLogEntry, tcps []*datav3.TCPAccessLogEntry) []byte {
	t.Helper()
	m := &servicev3.StreamAccessLogsMessage{LogEntries: &servicev3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &servicev3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: https},
	}}
	if https == nil {
		m.LogEntries = &servicev3.StreamAccessLogsMessage_TcpLogs{TcpLogs: &servicev3.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: tcps}}
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll returns the entries of a message.
func readAll(message []byte) ([]Entry, error) {
	var all []Entry
	err := newReader(local, SinkFunc(func(e *Entry) { all = append(all, *e) })).read(message)
	return all, err
}

// readHTTP and readTCP return what is read of one entry.
func readHTTP(t testing.TB, in *datav3.HTTPAccessLogEntry) *Entry {
	t.Helper()
	return readOne(t, encode(t, []*datav3.HTTPAccessLogEntry{in}, nil))
}

func readTCP(t testing.TB, in *datav3.AccessLogCommon) *Entry {
	t.Helper()
	return readOne(t, encode(t, nil, []*datav3.TCPAccessLogEntry{{CommonProperties: in}}))
}

func readOne(t testing.TB, message []byte) *Entry {
	t.Helper()
	all, err := readAll(message)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d entries are read, %v", len(all), err)
	}
	return &all[0]
}

// recorded is the record of an entry as protobuf itself reads it.
func recorded(in *datav3.HTTPAccessLogEntry) *record {
	common, req, resp := in.GetCommonProperties(), in.GetRequest(), in.GetResponse()
	r := &record{
		kind: common.GetAccessLogType(), intermediate: common.GetIntermediateLogEntry(), //nolint:staticcheck // what an entry without a type has
		cluster: []byte(common.GetUpstreamCluster()),
		method:  uint64(req.GetRequestMethod()), authority: []byte(req.GetAuthority()), path: []byte(req.GetPath()),
		contentType: []byte(req.GetRequestHeaders()["content-type"]),
		code:        uint64(resp.GetResponseCode().GetValue()), details: []byte(resp.GetResponseCodeDetails()),
	}
	if s := common.GetStartTime(); s != nil {
		r.start = moment{s.GetSeconds(), int64(s.GetNanos()), true}
	}
	for at, d := range map[*moment]*durationpb.Duration{&r.duration: common.GetDuration(), &r.lastSent: common.GetTimeToLastDownstreamTxByte()} {
		if d != nil {
			*at = moment{d.GetSeconds(), int64(d.GetNanos()), true}
		}
	}
	if common.GetUpstreamRemoteAddress() != nil {
		r.host, _ = proto.MarshalOptions{Deterministic: true}.Marshal(common.GetUpstreamRemoteAddress())
	}
	for name, value := range common.GetCustomTags() {
		if i := tagIndex([]byte(name)); i >= 0 {
			r.tags[i] = []byte(value)
		}
	}
	for _, san := range common.GetTlsProperties().GetPeerCertificateProperties().GetSubjectAltName() {
		if uri := san.GetUri(); uri != "" {
			r.uri = []byte(uri)
			r.uris++
		}
	}
	for i, filter := range rbacFilters {
		fields := common.GetMetadata().GetFilterMetadata()[filter].GetFields()
		text := func(name string) []byte { return []byte(fields[name].GetStringValue()) }
		r.decisions[i] = decision{
			text("enforced_engine_result"), text("enforced_effective_policy_id"), text("shadow_engine_result"), text("shadow_effective_policy_id"),
		}
	}
	common.GetResponseFlags().ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		r.flags = append(r.flags, uint64(f.Number()))
		return true
	})
	status, inHeaders := resp.GetResponseHeaders()["grpc-status"]
	if s, ok := resp.GetResponseTrailers()["grpc-status"]; ok {
		status, r.inTrailers = s, true
	}
	r.status, r.gRPC = []byte(status), inHeaders || r.inTrailers
	return r
}

// realEntries are entries that Envoys have sent, as text.
func realEntries(t testing.TB) []*datav3.HTTPAccessLogEntry {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtpb")
	if err != nil || len(paths) == 0 {
		t.Fatal("there is no entry in testdata", err)
	}
	var all []*datav3.HTTPAccessLogEntry
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		in := &datav3.HTTPAccessLogEntry{}
		if err := prototext.Unmarshal(content, in); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, in)
	}
	return all
}

// whole is every field that is read and some that are not, all of them set.
func whole(t testing.TB) *datav3.HTTPAccessLogEntry {
	t.Helper()
	in := proto.CloneOf(realEntries(t)[0])
	common := in.GetCommonProperties()
	common.CustomTags = map[string]string{"foreign": "x", "": ""}
	for _, name := range []string{TagSide, TagSource, TagDestination, TagService, TagBackend, TagSplit, TagGrant, TagAudit, TagWorkload, TagPod} {
		common.CustomTags[name] = "value of " + name
	}
	common.IntermediateLogEntry = true //nolint:staticcheck // what an entry without a type has
	common.ResponseFlags = &datav3.ResponseFlags{NoHealthyUpstream: true, UnauthorizedDetails: &datav3.ResponseFlags_Unauthorized{}}
	common.Metadata = metadata(t, rbacFilters[1], map[string]any{
		"enforced_engine_result": "a", "enforced_effective_policy_id": "b", "shadow_engine_result": "c", "shadow_effective_policy_id": "d",
		"other": 7.5, "list": []any{"x"},
	})
	in.Request.RequestHeaders = map[string]string{"content-type": "application/grpc", "x": "y"}
	in.Response.ResponseHeaders = map[string]string{"grpc-status": "3", "x": "y"}
	in.Response.ResponseTrailers = map[string]string{"grpc-status": "14"}
	return in
}

// sameRecord tells in what a record differs from what protobuf reads.
func sameRecord(t testing.TB, in *datav3.HTTPAccessLogEntry) string {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var malformed bool
	got := &record{}
	got.readHTTP(walk(b, &malformed))
	if malformed {
		return "what protobuf has encoded is called malformed"
	}
	text := cmp.Transformer("text", func(b []byte) string { return string(b) })
	return cmp.Diff(recorded(in), got, cmp.AllowUnexported(record{}, moment{}, decision{}), text, cmp.Transformer("flags", func(f []uint64) int {
		sum := 0
		for _, n := range f {
			sum |= 1 << (n & 63)
		}
		return sum
	}))
}

func TestRecordsAreReadAsProtobufDoes(t *testing.T) {
	for _, in := range append(realEntries(t), whole(t), &datav3.HTTPAccessLogEntry{}) {
		if diff := sameRecord(t, in); diff != "" {
			t.Error(diff)
		}
	}
}

// Whatever a message is, it is read or called malformed; and what protobuf can
// read is read alike.
func FuzzRead(f *testing.F) {
	for _, in := range append(realEntries(f), whole(f)) {
		f.Add(encode(f, []*datav3.HTTPAccessLogEntry{in}, nil))
		f.Add(encode(f, nil, []*datav3.TCPAccessLogEntry{{CommonProperties: in.GetCommonProperties()}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := string(b)
		_, err := readAll(b)
		if string(b) != kept {
			t.Error("the message was changed")
		}
		var m servicev3.StreamAccessLogsMessage
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &m) != nil {
			return
		}
		if err != nil {
			t.Errorf("protobuf reads it, but: %v", err)
		}
		for _, in := range m.GetHttpLogs().GetLogEntry() {
			if diff := sameRecord(t, in); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestMalformed(t *testing.T) {
	in := realEntries(t)
	message := encode(t, in, nil)
	for n := range len(message) {
		all, err := readAll(message[:n])
		if len(all) > len(in) {
			t.Fatalf("%d entries in the first %d bytes", len(all), n)
		}
		if err == nil && n > 0 { // A message of nothing is one.
			t.Fatalf("the first %d bytes of %d are no message, but are taken for one", n, len(message))
		}
	}
}

// What a peer sends, Envoy copies byte for byte.
func TestTextThatIsNotUTF8IsRead(t *testing.T) {
	const placeholder = "0123456789"
	for text, want := range map[string]string{
		"0123456789":                            "0123456789",
		"\xff\xfe23456789":                      "??23456789",
		"012345678\xc3":                         "012345678?",
		"é\xc0\xaf456789":                       "é??456789",
		"\xed\xa0\x803456789":                   "???3456789",
		"�3456789":                              "�3456789",
		"\x00\n\"\\456789":                      "\x00\n\"\\456789",
		string([]byte{0x80, 0x80}) + "abcdefgh": "??abcdefgh",
	} {
		message := encode(t, []*datav3.HTTPAccessLogEntry{{
			CommonProperties: common(map[string]string{TagSide: "server", TagGrant: placeholder}),
			Request:          &datav3.HTTPRequestProperties{RequestId: placeholder, Path: "/é", Authority: placeholder},
		}}, nil)
		got := readOne(t, []byte(strings.ReplaceAll(string(message), placeholder, text)))
		if got.Authority != want || got.Grant != want || got.Path != "/é" {
			t.Errorf("%q: read as %q and %q, want %q", text, got.Authority, got.Grant, want)
		}
	}
}

func TestTextsAreCutBetweenRunes(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aéb", 2, "a"}, {"aéb", 3, "aé"}, {"€", 2, ""}, {"a€", 3, "a"}, {"𝄞x", 3, ""}, {"𝄞x", 4, "𝄞"}, {"", 0, ""},
	} {
		if got := text([]byte(c.in), c.most); got != c.want {
			t.Errorf("%d bytes of %q: %q, want %q", c.most, c.in, got, c.want)
		}
	}
}

// Names are remembered, and forgotten where there are too many.
func TestNamesAreBounded(t *testing.T) {
	n := names{}
	for i := range 3 * maxNames {
		want := strings.Repeat("x", i%(2*maxTag)) + string(rune('a'+i%26))
		if got := n.text([]byte(want)); got != text([]byte(want), maxTag) {
			t.Fatalf("%q is remembered as %q", want, got)
		}
	}
	if len(n) > maxNames {
		t.Errorf("%d names are remembered", len(n))
	}
}

func BenchmarkRead(b *testing.B) {
	var all []*datav3.HTTPAccessLogEntry
	for len(all) < 24 {
		all = append(all, realEntries(b)...)
	}
	message := encode(b, all, nil)
	r := newReader(local, NewMetrics(0))
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.read(message); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/entry")
}

// A duration beyond what Go can hold is the longest, not a negative one.
func TestLongDuration(t *testing.T) {
	for _, tc := range []struct {
		in   moment
		want time.Duration
	}{
		{moment{seconds: 2, nanos: 3}, 2*time.Second + 3},
		{moment{seconds: math.MaxInt64}, math.MaxInt64},
		{moment{seconds: math.MinInt64}, math.MinInt64},
	} {
		if got := tc.in.duration(); got != tc.want {
			t.Errorf("%+v: %v, want %v", tc.in, got, tc.want)
		}
	}
}
