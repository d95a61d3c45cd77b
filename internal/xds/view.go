package xds

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/smi-project/smi/internal/render/envoy"
)

// View is everything that one proxy should have. It never changes and is shared
// by pointer among all proxies of a class: equal pointers mean equal content.
type View struct {
	// lists are sorted by name.
	lists   [kindCount][]*envoy.Resource
	version string
}

// NewView makes a view of the resources of all lists. Of several resources of
// one type and name the last one counts. A type that the server does not know
// is a mistake of the renderer, never of a user, so it panics.
func NewView(resources ...[]*envoy.Resource) *View {
	v := &View{}
	for _, list := range resources {
		for _, r := range list {
			k, ok := kindOf(r.Type)
			if !ok {
				panic(fmt.Sprintf("xds: resource %s has the type %s, which proxies cannot ask for", r.Name, r.Type))
			}
			v.lists[k] = append(v.lists[k], r)
		}
	}
	hash := sha256.New()
	var line []byte
	for k, list := range v.lists {
		v.lists[k] = sortUnique(list)
		for _, r := range v.lists[k] {
			line = append(line[:0], byte('0'+k), ' ')
			line = append(line, r.Name...)
			line = append(line, ' ')
			line = append(line, r.Version...)
			hash.Write(append(line, '\n'))
		}
	}
	v.version = hex.EncodeToString(hash.Sum(nil)[:8])
	return v
}

// sortUnique sorts by name and keeps the last one of each.
func sortUnique(list []*envoy.Resource) []*envoy.Resource {
	slices.SortStableFunc(list, func(a, b *envoy.Resource) int { return cmp.Compare(a.Name, b.Name) })
	unique := list[:0]
	for i, r := range list {
		if i+1 == len(list) || list[i+1].Name != r.Name {
			unique = append(unique, r)
		}
	}
	return slices.Clip(unique)
}

// Version is a hash over the names and versions of all resources.
func (v *View) Version() string { return v.version }

// Resource returns the resource of that type URL and name, or nil.
func (v *View) Resource(typeURL, name string) *envoy.Resource {
	k, ok := kindOf(typeURL)
	if !ok {
		return nil
	}
	return find(v.lists[k], name)
}

// Names returns the sorted names of the resources of a type URL.
func (v *View) Names(typeURL string) []string {
	k, ok := kindOf(typeURL)
	if !ok {
		return nil
	}
	names := make([]string, len(v.lists[k]))
	for i, r := range v.lists[k] {
		names[i] = r.Name
	}
	return names
}

// list is that of a view which may be nil.
func (v *View) list(k kind) []*envoy.Resource {
	if v == nil {
		return nil
	}
	return v.lists[k]
}

// find returns the resource of that name in a sorted list, or nil.
func find(list []*envoy.Resource, name string) *envoy.Resource {
	i, ok := slices.BinarySearchFunc(list, name, func(r *envoy.Resource, name string) int { return cmp.Compare(r.Name, name) })
	if !ok {
		return nil
	}
	return list[i]
}
