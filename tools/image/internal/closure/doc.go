// Package closure finds the shared libraries that programs need, and the
// libraries that those need, from what ELF files say about themselves. It runs
// nothing, so that it can answer for an architecture that is not this machine's.
//
// It never looks at the libraries of the machine that builds.
package closure
