// Package rig is a mesh for tests: real Envoys and the real control plane
// around applications that run inside the test's own process.
//
// Pods stand in fixed slots, so that the Envoys of one rig serve many meshes,
// one after the other. Only tests use it.
package rig
