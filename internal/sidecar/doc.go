// Package sidecar is what the parts of the mesh that meet in a meshed pod agree
// on: the injector that writes the pod, the init container that redirects its
// traffic, the agent that serves it, and the control plane that reads it again.
//
// It holds names, numbers and settings with their text form, and nothing that
// acts. It never reads a cluster and never starts anything.
package sidecar
