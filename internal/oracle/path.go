package oracle

import "strings"

// pathOnly is the path without its query (SP-2).
func pathOnly(path string) string {
	before, _, _ := strings.Cut(path, "?")
	return before
}

// hasEncodedSlash says whether the path holds an encoded slash or backslash, for which it gets 400 (SP-9).
// Reading: the query is not judged, so an encoded slash there is harmless.
func hasEncodedSlash(path string) bool {
	lower := strings.ToLower(pathOnly(path))
	return strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c")
}

// normalise is the path that everything judges and that the application receives, without its query (SP-9).
// Reading: nothing but dot segments and backslashes changes. Repeated slashes and other percent-encoded characters stay.
func normalise(path string) string {
	path = strings.ReplaceAll(pathOnly(path), `\`, "/")
	if !strings.HasPrefix(path, "/") {
		return path // "*", as in OPTIONS *
	}
	segments := strings.Split(path[1:], "/")
	var kept []string
	for i, segment := range segments {
		last := i == len(segments)-1
		switch decodeDots(segment) {
		case ".":
			if last {
				kept = append(kept, "")
			}
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// decodeDots reads %2e as a dot, which tells whether a segment is a dot segment.
func decodeDots(segment string) string {
	segment = strings.ReplaceAll(segment, "%2e", ".")
	return strings.ReplaceAll(segment, "%2E", ".")
}
