// Package docs holds no code but the tests that keep the documentation true:
// links lead somewhere, rules that are cited exist, tests that are named exist,
// and commands print what the pages show.
package docs
