// Package debian fetches the few Debian packages whose files images contain, for
// any architecture. Which ones is pinned by version and SHA-256 in packages.txt.
//
// It uses the package sources that this machine is configured for, with a state
// of its own in a temporary folder: it never changes what apt or dpkg know of
// this machine, and it installs nothing and runs no script of a package.
package debian
