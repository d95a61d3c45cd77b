// Package project knows the project's own images: what is in each and in which
// layers, the seldom changed ones first.
//
// It never builds a program: it is given programs, so that there is one place,
// the Makefile, that says how they are built.
package project
