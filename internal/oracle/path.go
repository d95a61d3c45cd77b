package oracle

import (
	"net/url"
	"regexp"
	"strings"
)

// pathOnly is the path without its query (SP-2).
func pathOnly(path string) string {
	before, _, _ := strings.Cut(path, "?")
	return before
}

// dotsWithParameters are segments such as "..;v=1", encoded or not.
var dotsWithParameters = regexp.MustCompile(`(?i)(?:^|[/\\])(?:\.|%2e){1,2};`)

// hasEncodedSlash says whether the path holds an encoded slash or backslash, or a segment of dots with parameters, for which it
// gets 400 (SP-9).
// Reading: the query is not judged, so an encoded slash there is harmless.
func hasEncodedSlash(path string) bool {
	lower := strings.ToLower(pathOnly(path))
	return strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c") || dotsWithParameters.MatchString(lower)
}

// normalise is the path that everything judges and that the application receives, without its query (SP-9).
// Reading: nothing but dot segments, backslashes and needless escapes changes. Repeated slashes and other percent-encoded
// characters stay.
func normalise(path string) string {
	path = strings.ReplaceAll(pathOnly(path), `\`, "/")
	path = needlessEscape.ReplaceAllStringFunc(path, func(escape string) string {
		decoded, err := url.PathUnescape(escape)
		if err != nil {
			return escape
		}
		return decoded
	})
	if !strings.HasPrefix(path, "/") {
		return path // "*", as in OPTIONS *
	}
	segments := strings.Split(path[1:], "/")
	var kept []string
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
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

// needlessEscape is the escape of a letter, a digit or one of -._~, which stands for what it encodes.
var needlessEscape = regexp.MustCompile(`%(?i:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)`)
