package crds

import (
	"bytes"
	"context"
	"encoding/json"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// State is how a definition of the cluster compares with ours.
type State struct {
	Name string
	// Installed tells that the cluster has the definition, and Served that it serves
	// our version of it.
	Installed, Served bool
	// Same tells that our version is as this program brings it.
	Same bool
}

// States compares every definition that this program brings with the cluster's. It
// only reads.
func States(ctx context.Context, c client.Client) ([]State, error) {
	all, err := Ours()
	if err != nil {
		return nil, err
	}
	states := make([]State, len(all))
	for i, ours := range all {
		states[i].Name = ours.GetName()
		live, err := find(ctx, c, ours.GetName())
		if err != nil {
			return nil, err
		}
		if live.Unstructured == nil {
			continue
		}
		states[i].Installed = true
		states[i].Served, states[i].Same = live.established(), true
		for _, version := range ours.versions() {
			name, _ := version["name"].(string)
			theirs := live.version(name)
			states[i].Served = states[i].Served && theirs["served"] == true
			states[i].Same = states[i].Same && sameJSON(schemaOf(version), schemaOf(theirs)) &&
				sameJSON(version["additionalPrinterColumns"], theirs["additionalPrinterColumns"])
		}
	}
	return states, nil
}

// sameJSON compares what may have been read from YAML with what came as JSON, whose
// numbers have other types.
func sameJSON(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}
