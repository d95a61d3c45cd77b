package explain

import (
	"strconv"
	"strings"
)

// normalise brings a path to the form that is judged and forwarded (SP-9):
// without its query, backslashes turned, escapes that nothing needs decoded,
// dot segments resolved. It returns false for a path that is refused.
func normalise(path string, encodedSlashes bool) (string, bool) {
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	if path == "" {
		path = "/"
	}
	if !encodedSlashes && hasEncodedSlash(path) {
		return "", false
	}
	path = decodeUnreserved(strings.ReplaceAll(path, `\`, "/"))
	if hasDotsWithParameters(path) {
		return "", false
	}
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

// decodeUnreserved turns escapes of letters, digits and -._~ into what they
// stand for, and no others.
func decodeUnreserved(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil && isUnreserved(byte(c)) {
				out.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		out.WriteByte(path[i])
	}
	return out.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// hasDotsWithParameters tells whether a segment is dots but for parameters,
// such as "..;v=1".
func hasDotsWithParameters(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if name, _, found := strings.Cut(segment, ";"); found && dots(name) > 0 {
			return true
		}
	}
	return false
}
