package inject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// patched applies to a pod as it was sent the difference between what was read of
// it and what it shall be. Fields of a Kubernetes that is newer than this program
// so stay as they are, where an encoding of what was read would lose them.
func patched(raw []byte, before, after *corev1.Pod) ([]byte, error) {
	var sent any
	if err := decode(raw, &sent); err != nil {
		return nil, err
	}
	from, err := tree(before)
	if err != nil {
		return nil, err
	}
	to, err := tree(after)
	if err != nil {
		return nil, err
	}
	return json.Marshal(graft(sent, from, to))
}

// tree is the object as JSON has it.
func tree(pod *corev1.Pod) (any, error) {
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encoding the pod: %w", err)
	}
	var t any
	return t, decode(raw, &t)
}

// decode keeps numbers as they were written.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("decoding the pod: %w", err)
	}
	return nil
}

// graft returns sent with what differs between from and to, which know less of it.
func graft(sent, from, to any) any {
	if reflect.DeepEqual(from, to) {
		return sent
	}
	switch to := to.(type) {
	case map[string]any:
		from, read := from.(map[string]any)
		sent, present := sent.(map[string]any)
		if read && present {
			return graftMap(sent, from, to)
		}
	case []any:
		from, read := from.([]any)
		sent, present := sent.([]any)
		if read && present && len(from) == len(sent) {
			return graftList(sent, from, to)
		}
	}
	return to
}

func graftMap(sent, from, to map[string]any) map[string]any {
	result := maps.Clone(sent)
	for key := range from {
		if _, stays := to[key]; !stays {
			delete(result, key)
		}
	}
	for key, value := range to {
		if old, had := from[key]; !had || !reflect.DeepEqual(old, value) {
			result[key] = graft(sent[key], old, value)
		}
	}
	return result
}

// graftList finds elements again by their names, as lists of containers and of
// volumes have them.
func graftList(sent, from, to []any) []any {
	result := make([]any, len(to))
	for i, value := range to {
		result[i] = value
		for k, old := range from {
			if name(old) != "" && name(old) == name(value) {
				result[i] = graft(sent[k], old, value)
				break
			}
		}
	}
	return result
}

func name(element any) string {
	object, _ := element.(map[string]any)
	text, _ := object["name"].(string)
	return text
}
