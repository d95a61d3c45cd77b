package main

import (
	"net/http"
	"strings"
)

// who names the process that answers. It is part of every HTTP and gRPC answer
// and, as one line of JSON, the first thing that a TCP client reads.
type who struct {
	Pod     string `json:"pod"`
	Service string `json:"service,omitempty"`
	Version string `json:"version,omitempty"`
}

// reply is the answer to a request: who answers, what arrived, who called.
type reply struct {
	who
	// Protocol is the version of HTTP, such as HTTP/1.1, or gRPC.
	Protocol string `json:"protocol"`
	Method   string `json:"method"`
	// Path is the path exactly as it arrived, without the query.
	Path  string `json:"path"`
	Query string `json:"query,omitempty"`
	Host  string `json:"host"`
	// Headers have lower-case names.
	Headers map[string][]string `json:"headers,omitempty"`
	// BodyBytes is the length of the request's body.
	BodyBytes int64 `json:"bodyBytes"`
	// Principal is the caller's SPIFFE id, empty where the caller has none.
	Principal string `json:"principal,omitempty"`
	// Upstream tells what the services said that were called for this request.
	Upstream []*callReport `json:"upstream,omitempty"`
}

// lowerNames returns the headers under lower-case names, as HTTP/2 has them, so
// that an answer looks the same whatever protocol the last hop spoke.
func lowerNames(h http.Header) map[string][]string {
	lower := make(map[string][]string, len(h))
	for name, values := range h {
		key := strings.ToLower(name)
		lower[key] = append(lower[key], values...)
	}
	return lower
}

// principal reads the caller's SPIFFE id from x-forwarded-client-cert: the URI
// of the last element, which is the nearest hop's. Elements are separated by
// commas, their KEY=VALUE pairs by semicolons; a value may be quoted.
func principal(forwarded []string) string {
	elements := splitQuoted(strings.Join(forwarded, ","), ',')
	if len(elements) == 0 {
		return ""
	}
	for _, pair := range splitQuoted(elements[len(elements)-1], ';') {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(key, "URI") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// splitQuoted splits at separators that stand outside of double quotes.
func splitQuoted(text string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quoted:
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}
