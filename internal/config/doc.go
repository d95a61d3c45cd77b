// Package config reads the controller's configuration file.
//
// It says what the file may hold, fills in what it leaves out, and refuses what
// it gets wrong, with the field and, for a field that does not exist, the line.
// It never reads the environment and acts on nothing.
package config
