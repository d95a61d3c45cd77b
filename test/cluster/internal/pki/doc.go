// Package pki makes the keys and certificates of a cluster, new ones for every
// cluster. They live as long as its folder, which root alone can enter.
//
// It never takes a key from outside and never keeps one in memory for long.
package pki
