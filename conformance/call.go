package conformance

import (
	"strings"

	"github.com/smi-project/smi/conformance/driver"
)

// The namespaces of the fixture.
const (
	Apps    = "smi-apps"    // where most of it is
	Other   = "smi-other"   // another team's
	Outside = "smi-outside" // not in the mesh
)

// Namespaces are those that a run uses, and a target may remove when it is closed.
func Namespaces() []string { return []string{Apps, Other, Outside} }

// Workload is a client of the fixture, as "namespace/name".
type Workload string

// The clients. Client and Guest have accounts of their own in Apps; OtherClient
// has the account "client" in Other; Stranger is outside the mesh. Control sends
// the control requests; a case has it ask for more only where nobody else's
// denials may be among its own.
const (
	Client      Workload = Apps + "/client"
	Guest       Workload = Apps + "/guest"
	OtherClient Workload = Other + "/client"
	Stranger    Workload = Outside + "/stranger"
	Control     Workload = Apps + "/control"
)

// Call is a request that a workload is to send. Its methods return changed
// copies.
type Call struct {
	from    Workload
	request driver.Request
	// showing says what is shown in TLS.
	showing string
}

// Get is a GET request, as in Client.Get("server", 80, "/path"). A service without
// a namespace is in Apps.
func (w Workload) Get(service string, port uint16, path string) Call {
	return Call{from: w, request: driver.Request{Host: host(service), Port: port, Path: path}}
}

// TCP is a connection over which a line is sent and one is read.
func (w Workload) TCP(service string, port uint16) Call {
	return Call{from: w, request: driver.Request{Protocol: driver.TCP, Host: host(service), Port: port}}
}

// UDP is a datagram that is answered by one.
func (w Workload) UDP(service string, port uint16) Call {
	return Call{from: w, request: driver.Request{Protocol: driver.UDP, Host: host(service), Port: port, Body: "hello\n"}}
}

// GRPC is a unary call of the sample's echo service, or of another method, whose
// full name is given.
func (w Workload) GRPC(service string, port uint16, method string) Call {
	return Call{from: w, request: driver.Request{Protocol: driver.GRPC, Host: host(service), Port: port, Path: method}}
}

// SayMethod is the unary method of the sample's echo service.
const SayMethod = "/smi.sample.v1.Echo/Say"

func host(service string) string {
	if strings.Contains(service, ".") {
		return service
	}
	return service + "." + Apps
}

// Method sets the HTTP method.
func (c Call) Method(method string) Call {
	c.request.Method = method
	return c
}

// Path sets the path, with its query.
func (c Call) Path(path string) Call {
	c.request.Path = path
	return c
}

// Header adds a header line.
func (c Call) Header(name, value string) Call {
	c.request.Header = append(c.request.Header[:len(c.request.Header):len(c.request.Header)], [2]string{name, value})
	return c
}

// Authority sets the Host header, or the HTTP/2 authority.
func (c Call) Authority(authority string) Call {
	c.request.Authority = authority
	return c
}

// HTTP2 sends by HTTP/2, without TLS to the client's own sidecar.
func (c Call) HTTP2() Call {
	c.request.Protocol = driver.HTTP2
	return c
}

// WebSocket asks for an upgrade.
func (c Call) WebSocket() Call {
	c.request.Protocol = driver.WebSocket
	return c
}

// Body sets the body, or the first bytes of a connection.
func (c Call) Body(body string) Call {
	c.request.Body = body
	return c
}

// Silent waits for the server to speak first.
func (c Call) Silent() Call {
	c.request.Silent = true
	return c
}

// Direct goes to the Service's address although there is an HTTP proxy.
func (c Call) Direct() Call {
	c.request.Direct = true
	return c
}

// Showing has the workload speak TLS by itself, to the Service's address, and show
// the credentials; what says in a word or two what they are.
func (c Call) Showing(what string, credentials *driver.Credentials) Call {
	c.request.TLS, c.showing = credentials, what
	return c
}

// On sends over the connection of that name, which stays open.
func (c Call) On(session string) Call {
	c.request.Session = session
	return c
}

// Stream returns from the request when its answer has begun, on a session.
func (c Call) Stream() Call {
	c.request.Stream = true
	return c
}

// String is the call in a few words.
func (c Call) String() string {
	text := c.request.String()
	if c.request.Authority != "" {
		text += " as " + c.request.Authority
	}
	if c.showing != "" {
		text += " showing " + c.showing
	}
	for _, h := range c.request.Header {
		text += " " + h[0] + "=" + h[1]
	}
	return text
}
