package driver

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Protocol is what a request is sent as.
type Protocol string

// The protocols that the driver speaks.
const (
	HTTP1     Protocol = "http1" // also the meaning of ""
	HTTP2     Protocol = "http2" // without TLS, by prior knowledge
	GRPC      Protocol = "grpc"
	WebSocket Protocol = "websocket" // the upgrade of an HTTP/1.1 request
	TCP       Protocol = "tcp"
	UDP       Protocol = "udp"
)

// Request is what to send, and how often.
type Request struct {
	Protocol Protocol `json:"protocol,omitempty"`
	// Host and Port are those of a Service, such as server.shop and 8080.
	Host string `json:"host"`
	Port uint16 `json:"port"`
	// Direct connects to the Service's address, or what stands for it, although
	// the workload was told of an HTTP proxy. Only HTTP/1.1 and WebSocket use one.
	Direct bool `json:"direct,omitempty"`
	// TLS has the workload speak TLS to that address by itself, with HTTP/1.1 or TCP
	// inside. It goes there directly.
	TLS *Credentials `json:"tls,omitempty"`

	// Method is GET when empty. For gRPC it is ignored.
	Method string `json:"method,omitempty"`
	// Path is sent as it is, with its query; / when empty. For gRPC it is the
	// method's full name.
	Path string `json:"path,omitempty"`
	// Authority is the Host header; Host, with the port unless it is 80, when empty.
	Authority string `json:"authority,omitempty"`
	// Header is sent in its order and spelling, over HTTP/1.1.
	Header [][2]string `json:"header,omitempty"`
	// Body is the request's body, or the first bytes over TCP and UDP.
	Body string `json:"body,omitempty"`
	// Silent sends no first byte over TCP, and waits for the server's.
	Silent bool `json:"silent,omitempty"`

	// Count is how often to send, 1 when zero; Concurrency how many at a time, 1
	// when zero. Several HTTP/1.1 requests share connections.
	Count       int `json:"count,omitempty"`
	Concurrency int `json:"concurrency,omitempty"`

	// Session names a connection that stays open after the answer and takes the
	// next request of that session, of HTTP/1.1, WebSocket or TCP. Stream returns
	// when the head of the answer is there, while its body goes on.
	Session string `json:"session,omitempty"`
	Stream  bool   `json:"stream,omitempty"`
}

// The bounds of one Request.
const (
	MaxCount       = 100_000
	maxConcurrency = 64
	maxBody        = 64 << 10
	// Patience bounds one exchange.
	Patience = 10 * time.Second
)

func (r *Request) address() string { return net.JoinHostPort(r.Host, strconv.Itoa(int(r.Port))) }

func (r *Request) authority() string {
	switch {
	case r.Authority != "":
		return r.Authority
	case r.Port == 80:
		return r.Host
	default:
		return r.address()
	}
}

func (r *Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func (r *Request) path() string {
	if r.Path == "" {
		return "/"
	}
	return r.Path
}

// String is the request in a few words, as in "GET http://server.shop:8080/a".
func (r *Request) String() string {
	switch r.Protocol {
	case TCP, UDP:
		return string(r.Protocol) + "://" + r.address()
	case GRPC:
		return "grpc://" + r.address() + r.path()
	case HTTP2, WebSocket:
		return fmt.Sprintf("%s %s (%s)", r.method(), "http://"+r.address()+r.path(), r.Protocol)
	default:
		return fmt.Sprintf("%s %s", r.method(), "http://"+r.address()+r.path())
	}
}

// Failure is how an exchange failed.
type Failure string

// The failures. Without a connection, nobody has judged what would have been sent;
// what is closed or reset had been accepted.
const (
	NotConnected Failure = "not connected" // there is no connection, for want of a way or in time
	Refused      Failure = "refused"       // there is no connection: the other side refuses it
	Ended        Failure = "closed"        // the connection was closed in good order, before any answer
	Reset        Failure = "reset"         // the connection was reset, before any answer
	CutOff       Failure = "cut off"       // the answer had begun, and ends in its middle
)

// Answer is what one request brought.
type Answer struct {
	// Status is that of an HTTP answer, 0 where there was none.
	Status int `json:"status,omitempty"`
	// Code is the name of a gRPC code, such as PermissionDenied.
	Code string `json:"code,omitempty"`
	// Pod names the application that answered, empty where none did.
	Pod string `json:"pod,omitempty"`
	// Closed tells that a connection had been made, and was closed or reset without
	// an answer; TimedOut that nothing came in time. Failure says what failed, empty
	// where nothing did or an answer did not come, and Error is the reason in words.
	Closed   bool    `json:"closed,omitempty"`
	TimedOut bool    `json:"timedOut,omitempty"`
	Failure  Failure `json:"failure,omitempty"`
	Error    string  `json:"error,omitempty"`
	// Header is that of an HTTP answer, under lower-case names.
	Header map[string][]string `json:"header,omitempty"`
	// Body is the first 64 KiB of what came.
	Body string `json:"body,omitempty"`
	// Seen is the request as the application saw it, where it told.
	Seen *Seen `json:"seen,omitempty"`
}

// Seen is what an application tells of a request.
type Seen struct {
	Pod      string              `json:"pod"`
	Protocol string              `json:"protocol,omitempty"`
	Method   string              `json:"method,omitempty"`
	Path     string              `json:"path,omitempty"`
	Query    string              `json:"query,omitempty"`
	Host     string              `json:"host,omitempty"`
	Headers  map[string][]string `json:"headers,omitempty"`
	// Principal is the caller's SPIFFE id as the application was told it.
	Principal string `json:"principal,omitempty"`
}

// Word is the answer in a word or two: who answered and how, or how it failed.
// Equal words are counted together.
func (a *Answer) Word() string {
	word := ""
	switch {
	case a.Failure == CutOff, a.Failure == NotConnected, a.Failure == Refused:
		return string(a.Failure)
	case a.TimedOut:
		return "timeout"
	case a.Closed:
		return "closed"
	case a.Code != "":
		word = a.Code
	case a.Status != 0:
		word = strconv.Itoa(a.Status)
	default:
		word = "bytes"
	}
	if a.Pod != "" {
		return word + " from " + a.Pod
	}
	return word
}

// Succeeded tells whether an application answered, with success and to the end:
// an HTTP request with 2xx, or 101 for an upgrade; a gRPC call with OK; a
// connection or a datagram with anything.
func (a *Answer) Succeeded() bool {
	switch {
	case a.Pod == "" || a.Failure != "" || a.TimedOut || a.Closed:
		return false
	case a.Code != "":
		return a.Code == "OK"
	case a.Status != 0:
		return a.Status >= 200 && a.Status < 300 || a.Status == 101
	}
	return true
}

// Report tells what the answers to one Request were.
type Report struct {
	Sent int `json:"sent"`
	// Words counts all answers by their Word, Pods those that succeeded by who gave
	// them.
	Words map[string]int `json:"words"`
	Pods  map[string]int `json:"pods,omitempty"`
	// First is the first answer, whole.
	First Answer `json:"first"`
}

func (r *Report) add(a *Answer) {
	if r.Sent == 0 {
		r.First = *a
	}
	r.Sent++
	r.Words[a.Word()]++
	if a.Succeeded() {
		r.Pods[a.Pod]++
	}
}

// Connection is the state of a session's connection.
type Connection struct {
	// Open tells whether it was open when asked; Bytes counts what has come over
	// it since it was opened.
	Open  bool  `json:"open"`
	Bytes int64 `json:"bytes"`
}
