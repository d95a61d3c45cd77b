package mesh

// Match selects HTTP requests. All of its conditions must hold (SP-5); one
// without conditions selects every request.
type Match struct {
	// Name is that of the match in its HTTPRouteGroup.
	Name string
	// Group is the HTTPRouteGroup that it comes from.
	Group Name
	// Methods are upper- and lower-case as written; nil means every method (SP-4).
	Methods []string
	// Path is an RE2 expression, anchored at the beginning only (SP-2), matched
	// against the normalised path without its query; empty means every path.
	Path string
	// Headers must all match, sorted by name.
	Headers []HeaderMatch
}

// HeaderMatch is a condition on one header.
type HeaderMatch struct {
	// Name is lower-case. "host" means the authority, lower-case, without port
	// and final dot (SP-3).
	Name string
	// Value is an RE2 expression that must match the whole value (SP-3).
	Value string
}
