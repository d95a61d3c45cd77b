// Package cgroup gives a cluster control groups of its own, in every hierarchy
// that the machine has mounted, version 1 and 2 alike, and takes them away.
//
// It touches no group that does not lie below smi-cluster/<name>.
package cgroup
