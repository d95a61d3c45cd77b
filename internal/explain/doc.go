// Package explain answers questions about a compiled mesh: is this request
// allowed, by which objects and rules, and where would it go?
//
// It is the reference evaluator: what it answers is what proxies must do. It
// reads the model alone; it never looks at SMI resources, whose meaning is
// compile's, nor at what a renderer made of them.
package explain
