// Package cli is the command line of smi: it reads arguments and files, asks
// the packages that know, and prints what they answer, for people and for
// programs.
//
// It gives nothing a meaning of its own: what resources mean is compile's, and
// what happens to a request is explain's. It never changes a file, and
// speaks to a cluster only through packages that say what for. It runs on every
// system that Go does; commands that need more are handed to Run by their own
// packages.
package cli
