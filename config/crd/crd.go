// Package crd holds the CustomResourceDefinitions of SMI, as they are generated
// from the types in api/, for the programs that install them.
//
// It holds files and nothing that acts.
package crd

import "embed"

// Files are the definitions, one YAML document in each file.
//
//go:embed *.yaml
var Files embed.FS
