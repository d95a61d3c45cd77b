package controller

import (
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/smi-project/smi/internal/controlplane"
)

// seen is an object that somebody changed: at the resource version, or removed where
// that is empty.
type seen struct {
	Kind            string `json:"kind"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion"`
}

// maxSettled bounds a question, in bytes.
const maxSettled = 4 << 20

// settled answers whether what was changed has come to every proxy of this replica:
// 200 where it has, 409 with what lacks where it has not. Whoever changes the mesh
// and wants to know when it is in force, such as a test, asks every replica.
func (c *Controller) settled(w http.ResponseWriter, r *http.Request) {
	plane := c.plane.Load()
	if plane == nil {
		http.Error(w, "nothing was compiled yet", http.StatusServiceUnavailable)
		return
	}
	var changed []seen
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSettled)).Decode(&changed); err != nil {
		http.Error(w, fmt.Sprintf("a list of objects with kind, namespace, name and resourceVersion is needed: %v", err), http.StatusBadRequest)
		return
	}
	if lack := c.lack(plane, changed); lack != "" {
		http.Error(w, lack, http.StatusConflict)
	}
}

// lack says what of the changes is not in force, "" where all is.
func (c *Controller) lack(plane *controlplane.ControlPlane, changed []seen) string {
	// What the source has heard of is in the store, so it is asked first.
	observed, snapshot := c.source.Observed(), c.store.Snapshot()
	for _, s := range changed {
		if !c.source.Follows(s.Kind) {
			continue
		}
		if s.ResourceVersion == "" {
			if _, there := snapshot.Find(s.Kind, s.Namespace, s.Name); there {
				return fmt.Sprintf("%s %s/%s is still there", s.Kind, s.Namespace, s.Name)
			}
			continue
		}
		if newer, err := resourceversion.CompareResourceVersion(observed[s.Kind], s.ResourceVersion); err != nil || newer < 0 {
			return fmt.Sprintf("%s %s/%s was not seen as it is", s.Kind, s.Namespace, s.Name)
		}
	}
	if plane.Pending() {
		return "not everything was sent to the proxies"
	}
	for _, p := range plane.Proxies() {
		if p.Connected && !p.Synced {
			return fmt.Sprintf("proxy %s has not acknowledged everything: %d resources, %s", p.Node, p.Pending, p.LastError)
		}
	}
	return ""
}
