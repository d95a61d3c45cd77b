// Package live holds the tests that run real Envoys and send real requests
// through them, to see that a mesh does what its policy says.
package live
