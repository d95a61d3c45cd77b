// Package standalone is the target of conformance runs that needs no cluster: the
// standalone runtime, with real Envoys, on this machine. It runs on Linux alone.
package standalone
