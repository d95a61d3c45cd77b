package envoy

import (
	"strconv"

	"github.com/smi-project/smi/mesh"
)

// portKey names a port of a Service.
type portKey struct {
	service mesh.Name
	port    uint16
}

func keyOf(p *mesh.ServicePort) portKey { return portKey{p.Service, p.Number} }

// String is the form that resources are named by: "<port>|<service>.<namespace>".
func (k portKey) String() string {
	return strconv.Itoa(int(k.port)) + "|" + k.service.Name + "." + k.service.Namespace
}

// label is the form that people read: "<namespace>/<service>:<port>".
func (k portKey) label() string { return k.service.String() + ":" + strconv.Itoa(int(k.port)) }

// outboundName is the name of the cluster, the endpoints, the routes and the
// listener of a Service's port.
func outboundName(k portKey) string { return "outbound|" + k.String() }

func name(kind string, port uint16) string { return kind + "|" + strconv.Itoa(int(port)) }

// inboundName is the name of the listener of a pod's port, and of the cluster
// that is the application behind it.
func inboundName(port uint16) string { return name("inbound", port) }

// innerName is the name of the internal listener of a pod's port, and of the
// cluster that leads there.
func innerName(port uint16) string { return name("inner", port) }
