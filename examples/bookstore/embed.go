// Package bookstore holds the manifests of the bookstore example, so that a
// program can run it without a copy of the sources. It interprets none of them.
package bookstore

import "embed"

// Files are the manifests: app.yaml (the application), access.yaml (who may call
// whom), split.yaml (a canary) and ab-test.yaml (a split by header).
//
//go:embed *.yaml
var Files embed.FS
