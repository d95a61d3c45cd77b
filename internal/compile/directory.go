package compile

import "github.com/smi-project/smi/mesh"

// directory finds the members of a list by their names.
type directory[T any] struct {
	all []T
	at  map[mesh.Name]int
}

// newDirectory is that of a list. Where the list has the same names in the same
// places as the last one, which it mostly has, nothing is indexed anew.
func newDirectory[T any](all []T, name func(T) mesh.Name, last directory[T]) directory[T] {
	same := len(all) == len(last.all)
	for i := 0; same && i < len(all); i++ {
		same = name(all[i]) == name(last.all[i])
	}
	if same {
		return directory[T]{all, last.at}
	}
	d := directory[T]{all, make(map[mesh.Name]int, len(all))}
	for i, member := range all {
		d.at[name(member)] = i
	}
	return d
}

// get returns the member of that name, the zero value where there is none.
func (d directory[T]) get(name mesh.Name) T {
	if i, ok := d.at[name]; ok {
		return d.all[i]
	}
	var none T
	return none
}
