// Package crd checks the generated CustomResourceDefinitions as a Kubernetes API
// server would: that their schemas are structural, and that they accept and
// refuse what they should. It is tests only, in a module of its own, so that the
// API server's libraries never become dependencies of the product.
package crd
