package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxPorts bounds how many ports one flag may open.
const maxPorts = 16

// config is what the flags and the environment say.
type config struct {
	who     who
	address string
	ports   map[portKind]portList
	calls   chain
	loops   targets
	every   time.Duration
	report  time.Duration
	grace   time.Duration
	control string
	// certificate is the folder with tls.crt and tls.key of the HTTPS ports.
	certificate string
}

// portKind is what a port speaks.
type portKind string

const (
	kindHTTP  portKind = "http"
	kindGRPC  portKind = "grpc"
	kindAny   portKind = "any"
	kindTCP   portKind = "tcp"
	kindGreet portKind = "greet"
	kindUDP   portKind = "udp"
	kindHTTPS portKind = "https"
)

// transport is what carries a port's traffic: TCP and UDP count their ports apart.
func (k portKind) transport() string {
	if k == kindUDP {
		return "udp"
	}
	return "tcp"
}

const usage = `smi-sample answers any request with who it is, what it received and who called.

Usage: smi-sample [flags]

  smi-sample -http 9080 -service bookstore -version v1
  smi-sample -http 9080 -loop "POST http://bookstore.bookstore:9080/buy"

It listens on $POD_IP, or on all addresses where that is unset, and names itself
by $POD_NAME, else by the host's name. It calls HTTP through $HTTP_PROXY but for
what $NO_PROXY names; gRPC and TCP through the address that
$SMI_UPSTREAM_<SERVICE>_<NAMESPACE>_<PORT> tells, if any. Every HTTP port speaks
HTTP/1.1, HTTP/2 without TLS and gRPC.

  /healthz                 200 while it runs, 503 once it stops
  /call?url=U&n=N          call U (http, grpc or tcp) N times and tell the answers;
                           also method=M, header=k:v (repeatable), body=TEXT
  /status/CODE             answer CODE
  /delay?ms=N              answer after N milliseconds
  /stream?seconds=N        one line a second
  /ws                      WebSocket echo
  /admit                   what an API server asks an admission webhook: every object
                           may be but those whose names begin with refused
  anything else            the echo

gRPC: smi.sample.v1.Echo (Say, Watch; messages are google.protobuf.Struct) and
grpc.health.v1.Health.

Flags:
`

// parseConfig reads flags, with the environment for what they leave out.
func parseConfig(args []string, getenv func(string) string, out io.Writer) (*config, error) {
	cfg := &config{address: getenv("POD_IP"), ports: map[portKind]portList{}}
	fs := flag.NewFlagSet("smi-sample", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() {
		fmt.Fprint(out, usage)
		fs.PrintDefaults()
	}
	texts := map[portKind]string{
		kindHTTP:  "HTTP `ports`, separated by commas (9080 if no port of any kind is given)",
		kindGRPC:  "gRPC `ports`: the same as -http, by the name their clients look for",
		kindAny:   "`ports` where the first bytes decide between HTTP and TCP echo",
		kindTCP:   "TCP echo `ports`: a line that names the pod, then what was received",
		kindGreet: "TCP `ports` where the server speaks first: the same line at once, then the echo",
		kindHTTPS: "HTTP/1.1 `ports` with TLS, with the certificate of -certificate",
		kindUDP:   "UDP `ports`: each datagram is answered by one with the same line",
	}
	lists := map[portKind]*portList{}
	for kind, text := range texts {
		list := new(portList)
		lists[kind] = list
		fs.Var(list, string(kind), text)
	}
	fs.StringVar(&cfg.who.Pod, "pod", firstOf(getenv("POD_NAME"), getenv("HOSTNAME"), hostname()), "`name` of the pod")
	fs.StringVar(&cfg.who.Service, "service", getenv("SERVICE"), "`name` of the service, told in every answer")
	fs.StringVar(&cfg.who.Version, "version", getenv("VERSION"), "`version` of the service, told in every answer")
	fs.Var(&cfg.calls, "calls", "`PATH=URL`: before a request for PATH is answered, call URL; repeatable")
	fs.Var(&cfg.loops, "loop", "`[METHOD ]URL` to call over and over; repeatable")
	fs.DurationVar(&cfg.every, "every", 500*time.Millisecond, "pause between two calls of a loop")
	fs.DurationVar(&cfg.report, "report", 10*time.Second, "pause between two lines that sum a loop up")
	fs.DurationVar(&cfg.grace, "grace", 5*time.Second, "how long to wait, when told to stop, for what is under way")
	fs.StringVar(&cfg.control, "control", "", "`HOST:PORT` where a conformance run tells this process what to send; keep strangers away from it")
	fs.StringVar(&cfg.certificate, "certificate", "", "`FOLDER` with tls.crt and tls.key, as a Secret of the type kubernetes.io/tls is mounted")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	for kind, list := range lists {
		if len(*list) > 0 {
			cfg.ports[kind] = *list
		}
	}
	if len(cfg.ports) == 0 {
		cfg.ports[kindHTTP] = portList{9080}
	}
	return cfg, cfg.validate(fs)
}

func (c *config) validate(fs *flag.FlagSet) error {
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: everything is a flag, see -help", fs.Arg(0))
	}
	if c.every < 10*time.Millisecond {
		return fmt.Errorf("-every %s is too short: at least 10ms", c.every)
	}
	if c.report < time.Second {
		return fmt.Errorf("-report %s is too short: at least 1s", c.report)
	}
	if c.grace < 0 || c.grace > 10*time.Minute {
		return fmt.Errorf("-grace %s is out of range: 0s to 10m", c.grace)
	}
	if len(c.ports[kindHTTPS]) > 0 && c.certificate == "" {
		return errors.New("-https needs -certificate")
	}
	type number struct {
		transport string
		port      uint16
	}
	seen := map[number]portKind{}
	for kind, list := range c.ports {
		for _, p := range list {
			n := number{kind.transport(), p}
			if other, taken := seen[n]; taken {
				return fmt.Errorf("port %d is given twice, by -%s and -%s", p, other, kind)
			}
			seen[n] = kind
		}
	}
	return nil
}

// hostname is the pod's name on a cluster, also where the shell does not say so.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unnamed"
	}
	return name
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// portList is a flag of port numbers, separated by commas.
type portList []uint16

func (l *portList) String() string {
	var parts []string
	for _, p := range *l {
		parts = append(parts, strconv.Itoa(int(p)))
	}
	return strings.Join(parts, ",")
}

// Set adds the ports of the text to the list.
func (l *portList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%q is not a port number (1 to 65535)", part)
		}
		if len(*l) == maxPorts {
			return fmt.Errorf("more than %d ports", maxPorts)
		}
		*l = append(*l, uint16(n))
	}
	return nil
}

// target is a method and the URL to call with it.
type target struct {
	method string
	url    string
}

func (t target) String() string { return t.method + " " + t.url }

// targets is a repeatable flag of targets.
type targets []target

func (l *targets) String() string {
	var parts []string
	for _, t := range *l {
		parts = append(parts, t.String())
	}
	return strings.Join(parts, ", ")
}

// Set adds `URL` or `METHOD URL`.
func (l *targets) Set(text string) error {
	method, address, found := strings.Cut(strings.TrimSpace(text), " ")
	if !found {
		method, address = "GET", method
	}
	address = strings.TrimSpace(address)
	if err := checkURL(address); err != nil {
		return err
	}
	*l = append(*l, target{method: method, url: address})
	return nil
}

// chain maps a path to the URLs that are called before it is answered.
type chain map[string][]string

func (c *chain) String() string {
	var parts []string
	for path, urls := range *c {
		parts = append(parts, path+"="+strings.Join(urls, ","))
	}
	return strings.Join(parts, " ")
}

// Set adds one `PATH=URL`.
func (c *chain) Set(text string) error {
	path, address, found := strings.Cut(text, "=")
	if !found || !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%q is not PATH=URL with a PATH that begins with /", text)
	}
	if err := checkURL(address); err != nil {
		return err
	}
	if *c == nil {
		*c = chain{}
	}
	(*c)[path] = append((*c)[path], address)
	return nil
}

// checkURL refuses what a caller could not call.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("not a URL: %w", err)
	}
	switch u.Scheme {
	case "http":
	case "tcp", "grpc":
		if u.Port() == "" {
			return fmt.Errorf("%q has no port", text)
		}
	default:
		return fmt.Errorf("%q is neither an http, a grpc nor a tcp URL", text)
	}
	if u.Hostname() == "" {
		return fmt.Errorf("%q has no host", text)
	}
	return nil
}
