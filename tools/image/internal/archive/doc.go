// Package archive puts images together from layers and writes them as OCI
// archives: a tar of an OCI layout, which container runtimes import and which
// registry tools push. The same images always give the same bytes.
//
// It never speaks to a registry, and never builds upon another image.
package archive
