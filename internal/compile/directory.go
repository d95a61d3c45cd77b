package compile

import "github.com/smi-project/smi/mesh"

// directory finds the members of a list by their names.
type directory[T comparable] struct {
	all []T
	// places say where a name is in the list. Lists of the same names share them.
	places *places
}

type places struct{ of map[mesh.Name]int }

// newDirectory is that of a list. Where the list has the same names in the same
// places as the last one, which it mostly has, nothing is indexed anew.
func newDirectory[T comparable](all []T, name func(T) mesh.Name, last directory[T]) directory[T] {
	same := last.places != nil && len(all) == len(last.all)
	for i := 0; same && i < len(all); i++ {
		same = all[i] == last.all[i] || name(all[i]) == name(last.all[i])
	}
	if same {
		return directory[T]{all, last.places}
	}
	of := make(map[mesh.Name]int, len(all))
	for i, member := range all {
		of[name(member)] = i
	}
	return directory[T]{all, &places{of}}
}

// find returns the member of that name and its place, the zero value and -1
// where there is none.
func (d directory[T]) find(name mesh.Name) (T, int) {
	if i, ok := d.places.of[name]; ok {
		return d.all[i], i
	}
	var none T
	return none, -1
}

// get returns the member of that name, the zero value where there is none.
func (d directory[T]) get(name mesh.Name) T {
	member, _ := d.find(name)
	return member
}

// has tells whether the member is at that place.
func (d directory[T]) has(member T, place int) bool {
	return place >= 0 && place < len(d.all) && d.all[place] == member
}
