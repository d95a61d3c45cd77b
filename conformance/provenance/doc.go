// Package provenance says who found what a conformance report says, and lets
// others verify it: an in-toto Statement about the report's file, in a DSSE
// envelope, signed with keys that the signer keeps.
//
// What is believed is decided by whoever verifies, by the public keys that they
// give. A key says who speaks, not that it is true; the statement's text is the
// signer's own. There is no service, no certificate and no clock in it.
//
// The formats are those of https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
// and https://github.com/secure-systems-lab/dsse/blob/master/envelope.md, so other
// tools read the envelopes, and the keys are PEM as openssl and cosign import
// writes and reads them.
package provenance
