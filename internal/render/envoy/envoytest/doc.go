// Package envoytest runs real Envoys on rendered resources, for tests.
//
// Resources reach the proxy as files instead of by the xDS server, with the
// same content: where a resource refers to ADS or to the agent's secrets, the
// reference is turned into one to a file. The package is for tests only and
// never part of a program.
package envoytest
