// Package crds installs, upgrades, compares and deletes the SMI
// CustomResourceDefinitions in a cluster, also where another implementation of
// SMI has installed definitions of the same names.
//
// It never takes a version away that a cluster has, and applies nothing that
// would make an object lose a field. It knows no objects but definitions, and
// reads others only to see what they would lose.
package crds
