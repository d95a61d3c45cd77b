package conformance

import (
	"context"
	"net"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/smi-project/smi/conformance/report"
)

// Target is a mesh to be tested.
//
// Describe is called first, Close last, by whoever has made the target. Apply is
// called by one goroutine at a time; Dial, Reach and Denials by many, also while
// Apply is under way.
type Target interface {
	// Describe names the mesh and where it runs.
	Describe(ctx context.Context) (mesh report.Mesh, platform string, err error)
	// Apply makes the objects all that the suite has applied: what was there before
	// and is not among them is removed. It returns when every proxy follows, so
	// that the next request is judged by them and by nothing else. The first call
	// brings the workloads up. The error is of the target; a mesh that refuses an
	// object of a case says so with a *Refused, and is given what was there before
	// once more.
	//
	// The objects are the target's own to change. They are in the order of use:
	// Namespaces, ServiceAccounts, Services, workloads, what targets refer to,
	// TrafficTargets, TrafficSplits, so that they may be applied one after the other
	// and removed the other way round. It need not be at once: until it returns,
	// nothing is judged but what During sends, while one object changes, and what slow
	// cases have open, whose own objects stay as they are.
	Apply(ctx context.Context, objects []*unstructured.Unstructured) error
	// Dial connects to the driver (package driver) inside of a workload, given as
	// "namespace/name".
	Dial(ctx context.Context, workload string) (net.Conn, error)
	// Reach translates a Service's host and port into what a workload outside the
	// mesh connects to for it.
	Reach(ctx context.Context, host string, port uint16) (string, uint16, error)
	// Close removes all that was applied.
	Close(ctx context.Context) error
}

// DenialCounter is a target that can tell how many requests and connections of
// one workload's account to another's were denied so far.
type DenialCounter interface {
	Denials(ctx context.Context, source, destination string) (int, error)
}

// Refused tells that a mesh did not take an object, with its reason.
type Refused struct {
	Object string
	Reason string
}

func (r *Refused) Error() string { return r.Object + " was refused: " + r.Reason }
