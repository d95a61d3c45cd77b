package accesslog

import (
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The fields that are read, as their tags. The numbers are those of Envoy's
// envoy/data/accesslog/v3/accesslog.proto, service/accesslog/v3/als.proto,
// config/core/v3/address.proto and base.proto, and of protobuf's well-known
// types; a test holds them against the generated types.
const (
	messageHTTP = 2<<3 | length
	messageTCP  = 3<<3 | length
	entriesItem = 1<<3 | length

	entryCommon   = 1<<3 | length
	entryRequest  = 3<<3 | length // of HTTP entries; others have other fields there
	entryResponse = 4<<3 | length

	commonTLS          = 4<<3 | length
	commonStart        = 5<<3 | length
	commonLastSent     = 12<<3 | length
	commonHost         = 13<<3 | length
	commonCluster      = 15<<3 | length
	commonFlags        = 16<<3 | length
	commonMetadata     = 17<<3 | length
	commonTag          = 22<<3 | length
	commonDuration     = 23<<3 | length
	commonIntermediate = 27<<3 | varint
	commonType         = 33<<3 | varint

	requestMethod    = 1<<3 | varint
	requestAuthority = 3<<3 | length
	requestPath      = 5<<3 | length
	requestHeader    = 13<<3 | length

	responseCode    = 1<<3 | length
	responseHeader  = 4<<3 | length
	responseTrailer = 5<<3 | length
	responseDetails = 6<<3 | length

	tlsPeer         = 5<<3 | length
	certificateName = 1<<3 | length
	nameURI         = 1<<3 | length

	addressSocket   = 1<<3 | length
	addressPipe     = 2<<3 | length
	addressInternal = 3<<3 | length
	socketHost      = 2<<3 | length
	socketPort      = 3<<3 | varint
	addressName     = 1<<3 | length // a pipe's path, an internal listener's name

	metadataFilter = 1<<3 | length
	structField    = 1<<3 | length
	valueString    = 3<<3 | length

	mapKey       = 1<<3 | length
	mapValue     = 2<<3 | length
	wrappedValue = 1<<3 | varint
	timeSeconds  = 1<<3 | varint
	timeNanos    = 2<<3 | varint
)

// record is what is read of an entry. Its bytes are parts of the message and
// valid as long as that is.
type record struct {
	// lastSent is when the last byte was sent, counted from the start.
	start, duration, lastSent moment
	kind                      datav3.AccessLogType
	intermediate              bool

	tags [tagCount][]byte
	// uri is the last URI name of the peer's certificate; uris counts them.
	uri  []byte
	uris int
	// decisions are those of the filters named in rbacFilters.
	decisions [len(rbacFilters)]decision

	cluster []byte
	// host is an envoy.config.core.v3.Address, still encoded.
	host []byte
	// flags are the numbers of the fields that are set in ResponseFlags.
	flags []uint64

	method, code                          uint64
	authority, path, contentType, details []byte
	// status is grpc-status, of the trailers or else of the headers.
	status           []byte
	inTrailers, gRPC bool
}

// moment is a google.protobuf.Timestamp or Duration.
type moment struct {
	seconds, nanos int64
	set            bool
}

func (m moment) time() time.Time { return time.Unix(m.seconds, m.nanos).UTC() }

// duration is the longest one there is where the moment says a longer one.
func (m moment) duration() time.Duration {
	return (&durationpb.Duration{Seconds: m.seconds, Nanos: int32(m.nanos)}).AsDuration()
}

func (m *moment) read(f fields) {
	m.set = true
	for f.next() {
		switch f.tag {
		case timeSeconds:
			m.seconds = int64(f.number)
		case timeNanos:
			m.nanos = int64(int32(f.number))
		}
	}
}

// decision is what an RBAC filter decided, and what its shadow would have
// decided: the result and the policy that led to it.
type decision struct{ enforced, enforcedBy, shadow, shadowBy []byte }

// reset makes an empty record of one that was used.
func (r *record) reset() { *r = record{flags: r.flags[:0]} }

// readHTTP reads an HTTPAccessLogEntry.
func (r *record) readHTTP(f fields) {
	for f.next() {
		switch f.tag {
		case entryCommon:
			r.readCommon(f.within())
		case entryRequest:
			r.readRequest(f.within())
		case entryResponse:
			r.readResponse(f.within())
		}
	}
}

// readTCP reads a TCPAccessLogEntry.
func (r *record) readTCP(f fields) {
	for f.next() {
		if f.tag == entryCommon {
			r.readCommon(f.within())
		}
	}
}

func (r *record) readCommon(f fields) {
	for f.next() {
		switch f.tag {
		case commonTLS:
			r.readTLS(f.within())
		case commonStart:
			r.start.read(f.within())
		case commonDuration:
			r.duration.read(f.within())
		case commonLastSent:
			r.lastSent.read(f.within())
		case commonHost:
			r.host = f.bytes
		case commonCluster:
			r.cluster = f.bytes
		case commonFlags:
			for flags := f.within(); flags.next(); {
				if flags.number != 0 || flags.tag&7 == length {
					r.flags = append(r.flags, flags.tag>>3)
				}
			}
		case commonMetadata:
			r.readMetadata(f.within())
		case commonTag:
			key, value := f.within().entry()
			if i := tagIndex(key); i >= 0 {
				r.tags[i] = value
			}
		case commonIntermediate:
			r.intermediate = f.number != 0
		case commonType:
			r.kind = datav3.AccessLogType(int32(f.number))
		}
	}
}

func (r *record) readRequest(f fields) {
	for f.next() {
		switch f.tag {
		case requestMethod:
			r.method = f.number
		case requestAuthority:
			r.authority = f.bytes
		case requestPath:
			r.path = f.bytes
		case requestHeader:
			if key, value := f.within().entry(); string(key) == "content-type" {
				r.contentType = value
			}
		}
	}
}

func (r *record) readResponse(f fields) {
	for f.next() {
		switch f.tag {
		case responseCode:
			for code := f.within(); code.next(); {
				if code.tag == wrappedValue {
					r.code = code.number
				}
			}
		case responseHeader:
			if key, value := f.within().entry(); string(key) == "grpc-status" && !r.inTrailers {
				r.status, r.gRPC = value, true
			}
		case responseTrailer:
			if key, value := f.within().entry(); string(key) == "grpc-status" {
				r.status, r.gRPC, r.inTrailers = value, true, true
			}
		case responseDetails:
			r.details = f.bytes
		}
	}
}

// readTLS reads the URI names of the certificate that the connection showed.
func (r *record) readTLS(f fields) {
	for f.next() {
		if f.tag != tlsPeer {
			continue
		}
		for names := f.within(); names.next(); {
			if names.tag != certificateName {
				continue
			}
			for name := names.within(); name.next(); {
				if name.tag == nameURI && len(name.bytes) > 0 {
					r.uri = name.bytes
					r.uris++
				}
			}
		}
	}
}

func (r *record) readMetadata(f fields) {
	for f.next() {
		if f.tag != metadataFilter {
			continue
		}
		filter, content := f.within().entry()
		for i := range rbacFilters {
			if string(filter) == rbacFilters[i] {
				r.decisions[i].read(walk(content, f.malformed))
			}
		}
	}
}

// read reads a google.protobuf.Struct.
func (d *decision) read(f fields) {
	for f.next() {
		if f.tag != structField {
			continue
		}
		key, value := f.within().entry()
		var text []byte
		for v := walk(value, f.malformed); v.next(); {
			if v.tag == valueString {
				text = v.bytes
			}
		}
		switch string(key) {
		case "enforced_engine_result":
			d.enforced = text
		case "enforced_effective_policy_id":
			d.enforcedBy = text
		case "shadow_engine_result":
			d.shadow = text
		case "shadow_effective_policy_id":
			d.shadowBy = text
		}
	}
}

// entry reads an entry of a map.
func (f fields) entry() (key, value []byte) {
	for f.next() {
		switch f.tag {
		case mapKey:
			key = f.bytes
		case mapValue:
			value = f.bytes
		}
	}
	return key, value
}
