package explain

import "strings"

// normalise brings a path to the form that is judged and forwarded (SP-9):
// without its query, backslashes turned, dot segments resolved. It returns
// false for a path that is refused.
func normalise(path string, encodedSlashes bool) (string, bool) {
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	if path == "" {
		path = "/"
	}
	if !encodedSlashes && hasEncodedSlash(path) {
		return "", false
	}
	path = strings.ReplaceAll(path, `\`, "/")
	return resolveDots(path), true
}

func hasEncodedSlash(path string) bool {
	lower := strings.ToLower(path)
	return strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c")
}

// resolveDots resolves "." and ".." segments, encoded ones included, and keeps
// empty segments.
func resolveDots(path string) string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	var kept []string
	for i, s := range segments {
		last := i == len(segments)-1
		switch dots(s) {
		case 1:
			if last {
				kept = append(kept, "")
			}
		case 2:
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, s)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// dots tells whether a segment is "." (1), ".." (2) or neither (0).
func dots(segment string) int {
	switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
	case ".":
		return 1
	case "..":
		return 2
	default:
		return 0
	}
}
