// Package e2e tests the mesh on a real cluster, from helm install to helm uninstall.
//
// Its tests are built with the tag e2e and need a cluster that has the project's
// images; `make e2e` brings one up, and runs them. With -short, the ones that wait
// for long are left out; `make e2e-full` runs all.
package e2e
