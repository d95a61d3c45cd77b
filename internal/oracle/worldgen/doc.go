// Package worldgen makes random meshes and random requests in them, from a seed, for tests that compare two judges of the rules.
//
// The same seed gives the same world in every run. The vocabularies are small and lie around the boundaries of the rules, so that
// about half of the requests are allowed and most of the rules decide something every few worlds. A world holds what users write
// by mistake as well: names of nothing, expressions that do not compile, destinations of others, splits in conflict.
//
// It never judges anything, and never makes what the rules leave to the proxy: percent-encoded letters, control characters,
// upgrades, repeated cookies.
package worldgen
