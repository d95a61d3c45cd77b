package agent

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// logMessage is an access log message whose request id, and one of whose
// custom tags, are that text; the text is put in after encoding, as Envoy does
// not mind what it is.
func logMessage(t *testing.T, text string) []byte {
	t.Helper()
	const placeholder = "0123456789"
	b, err := proto.Marshal(&servicev3.StreamAccessLogsMessage{
		LogEntries: &servicev3.StreamAccessLogsMessage_HttpLogs{HttpLogs: &servicev3.StreamAccessLogsMessage_HTTPAccessLogEntries{
			LogEntry: []*datav3.HTTPAccessLogEntry{
				{Request: &datav3.HTTPRequestProperties{RequestId: placeholder, Path: "/é", RequestMethod: corev3.RequestMethod_GET}},
				{CommonProperties: &datav3.AccessLogCommon{CustomTags: map[string]string{"a": placeholder}}},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(b) - len(placeholder) + 1 {
		if string(b[i:i+len(placeholder)]) == placeholder {
			copy(b[i:], text)
		}
	}
	return b
}

func TestTextThatIsNotUTF8IsRead(t *testing.T) {
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
		b := logMessage(t, text)
		var got servicev3.StreamAccessLogsMessage
		if err := newTolerantCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		entries := got.GetHttpLogs().GetLogEntry()
		if len(entries) != 2 || entries[0].GetRequest().GetRequestId() != want || entries[0].GetRequest().GetPath() != "/é" ||
			entries[1].GetCommonProperties().GetCustomTags()["a"] != want {
			t.Errorf("%q: read as %v, want %q", text, entries, want)
		}
	}
	broken := protowire.AppendTag(nil, 2, protowire.BytesType)
	if err := newTolerantCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(append(broken, 9))}, &servicev3.StreamAccessLogsMessage{}); err == nil {
		t.Error("a message that ends too early was read")
	}
}

func FuzzTolerantCodec(f *testing.F) {
	f.Add([]byte("\x12\x02\x0a\x00"))
	f.Add([]byte("\x12\x0a\x0a\x08\x1a\x06\x2a\x04ab\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := append([]byte(nil), b...)
		var got servicev3.StreamAccessLogsMessage
		if err := newTolerantCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got); err == nil && !proto.Equal(&got, proto.Clone(&got)) {
			t.Error("what was read is not a message")
		}
		if string(kept) != string(b) {
			t.Error("the bytes that were received were changed")
		}
	})
}
