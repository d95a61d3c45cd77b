package explain

import (
	"cmp"
	"strings"

	"github.com/smi-project/smi/mesh"
)

// request is a question in the form that proxies judge.
type request struct {
	from mesh.Account
	to   mesh.Name
	// notHTTP tells that the bytes are no HTTP request.
	notHTTP bool
	// opaque tells that the sender's sidecar passes the connection on without
	// looking into it.
	opaque bool
	// encodedSlash tells that whoever takes it for HTTP refuses it (SP-9).
	encodedSlash bool
	method       string
	path         string // normalised, without query
	headers      headers
}

// headers are the values of each header, joined as SP-3 says, by lower-case name.
type headers map[string]string

// outside tells whether the client is no part of the mesh.
func (r *request) outside() bool { return r.from == mesh.Account{} }

// refusal is why a request gets 400 before anything judges it.
type refusal struct{ rule, reason string }

// newRequest returns a refusal for what the sender's sidecar cannot pass on.
func newRequest(q Question, port *mesh.ServicePort) (*request, *refusal) {
	r := &request{
		from: q.From, to: q.To, headers: headers{}, notHTTP: q.Connection,
		opaque: q.Connection || port.Protocol == mesh.TCP || q.From == mesh.Account{},
	}
	if !q.Connection {
		r.read(q)
	}
	switch {
	case r.outside():
		return r, nil
	case q.Connection && port.Protocol.SpeaksHTTP():
		return nil, &refusal{"PR-1", "the port is declared to speak HTTP, and what is not HTTP gets 400 there"}
	case r.encodedSlash && !r.opaque:
		return nil, &refusal{"SP-9", "the path has an encoded slash or backslash, or dots with parameters, which gets 400"}
	}
	return r, nil
}

// read takes over what an HTTP request says.
func (r *request) read(q Question) {
	r.method = cmp.Or(q.Method, "GET")
	path, ok := normalise(q.Path, q.EncodedSlashes)
	r.path, r.encodedSlash = path, !ok
	r.setHost(q.To.Name + "." + q.To.Namespace)
	sent := map[string]bool{}
	for _, h := range q.Headers {
		name := strings.ToLower(h.Name)
		switch {
		case strings.HasPrefix(name, "x-envoy-"), strings.ReplaceAll(name, "_", "-") == "x-forwarded-client-cert": // PR-4
		case name == "host":
			r.setHost(h.Value)
		case !sent[name]:
			r.headers[name] = h.Value
		case name == "cookie":
			r.headers[name] += "; " + h.Value
		default:
			r.headers[name] += "," + h.Value
		}
		sent[name] = true
	}
}

// setHost makes an authority what conditions on host see.
func (r *request) setHost(value string) {
	delete(r.headers, "host")
	if host, ok := authority(value); ok {
		r.headers["host"] = host
	}
}

// header returns the value of a header and whether the request has it.
func (r *request) header(name string) (string, bool) {
	value, ok := r.headers[name]
	return value, ok
}

// authority brings a host to the form in which it is judged: lower-case,
// without port and final dot (SP-3). It returns false for one that meets no
// condition, such as an IPv6 address.
func authority(host string) (string, bool) {
	if name, port, found := strings.Cut(host, ":"); found {
		if strings.Trim(port, "0123456789") != "" {
			return "", false
		}
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), true
}
