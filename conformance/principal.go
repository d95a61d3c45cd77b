package conformance

import "github.com/smi-project/smi/conformance/driver"

// PrincipalReader is a target whose mesh tells applications who calls by another
// header than x-forwarded-client-cert.
type PrincipalReader interface {
	// Principal is the SPIFFE id of the caller of a request, "" where the
	// application was told of nobody. Calls may overlap.
	Principal(seen *driver.Seen) string
}

// Principal is the SPIFFE id of the caller as the application was told it, ""
// where it was told of nobody.
func (t *T) Principal(seen *driver.Seen) string {
	if reader, ok := t.run.target.(PrincipalReader); ok {
		return reader.Principal(seen)
	}
	return seen.Principal
}
