package oracle

import (
	"strings"

	specs "github.com/smi-project/smi/api/specs/v1alpha4"
)

// matchesAny says whether the request meets one of the matches (SP-5: several matches are alternatives).
func matchesAny(matches []specs.HTTPMatch, request *HTTP) bool {
	for _, match := range matches {
		if matchesRequest(match, request) {
			return true
		}
	}
	return false
}

// matchesRequest says whether the request meets every condition of the match (SP-5).
func matchesRequest(match specs.HTTPMatch, request *HTTP) bool {
	// SP-1: one expression that does not compile voids its match, whatever else the match says.
	if !matchCompiles(match) {
		return false
	}
	if !matchesMethod(match.Methods, request.Method) {
		return false
	}
	// SP-2: the normalised path without its query, anchored at the beginning. An empty pathRegex is no condition.
	if match.PathRegex != "" && !matchesStart(match.PathRegex, normalise(request.Path)) {
		return false
	}
	// SP-5, SP-6: every header condition holds, also where a list names one header twice.
	for _, condition := range match.Headers.Entries() {
		value, present := headerValue(request, condition.Name)
		// SP-3: an absent header never matches, not even ".*".
		if !present || !matchesWhole(condition.Value, value) {
			return false
		}
	}
	return true
}

func matchCompiles(match specs.HTTPMatch) bool {
	if match.PathRegex != "" && !compiles(match.PathRegex) {
		return false
	}
	for _, condition := range match.Headers.Entries() {
		if !compiles(condition.Value) {
			return false
		}
	}
	return true
}

// matchesMethod carries out SP-4: empty or "*" is every method; case counts.
func matchesMethod(methods []string, method string) bool {
	if len(methods) == 0 {
		return true
	}
	for _, allowed := range methods {
		if allowed == "*" || allowed == method {
			return true
		}
	}
	return false
}

// headerValue is the value that a header condition sees, and whether the header is there at all (SP-3).
// Reading: names such as ":path" are no headers, so a condition on one never holds.
func headerValue(request *HTTP, name string) (value string, present bool) {
	name = strings.ToLower(name) // SP-3: names are case-insensitive
	if name == "host" {
		return hostOf(request.Authority)
	}
	// PR-4: what a peer or an application says in these is removed before anything reads it. The certificate header is replaced;
	// its value is nothing that a request shows, so a condition on it holds for nobody here.
	if strings.HasPrefix(name, "x-envoy-") || strings.ReplaceAll(name, "_", "-") == "x-forwarded-client-cert" {
		return "", false
	}
	var values []string
	for _, header := range request.Headers {
		if strings.ToLower(header.Name) == name {
			values = append(values, header.Value)
		}
	}
	if len(values) == 0 {
		return "", false
	}
	// SP-3: repeated headers are joined. Reading: cookies as in HTTP/2, which is what the proxies speak to each other.
	if name == "cookie" {
		return strings.Join(values, "; "), true
	}
	return strings.Join(values, ","), true
}

// hostOf is the authority in lower case, without port and final dot (SP-3, TS-1).
// Reading: one with other colons than that before the port's digits, such as an IPv6 address, meets no condition.
func hostOf(authority string) (host string, present bool) {
	host = strings.ToLower(authority)
	if colon := strings.LastIndex(host, ":"); colon >= 0 && strings.TrimLeft(host[colon+1:], "0123456789") == "" {
		host = host[:colon]
	}
	return strings.TrimSuffix(host, "."), !strings.Contains(host, ":")
}
