// Package layer turns a list of files into a layer of an image: the same list
// always gives the same bytes. Entries are sorted, owners and modes are those
// that the list says, and every file has the same time.
//
// It never reads a file's owner, mode or time from the machine that builds, and
// it knows nothing of images, registries or this project's programs.
package layer
