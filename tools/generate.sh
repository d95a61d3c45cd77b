#!/usr/bin/env bash
# Writes what is generated: from the types in api/ deep copies and the
# CustomResourceDefinitions in config/crd, from the conformance suite the table
# of rules in docs/. With --verify it writes nothing, and fails if what is there
# is not current.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

generate() { # in the current folder
	local tool=(go tool -modfile="$root/tools/go.mod" controller-gen)
	rm -f config/crd/*.yaml
	"${tool[@]}" object paths=./api/...
	"${tool[@]}" crd paths=./api/... output:crd:dir=config/crd
}

table=docs/conformance-rules.md
table() { go run ./conformance/internal/ruletable <docs/semantics.md; }

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

if [ "${1:-}" != --verify ]; then
	generate
	table >"$copy/table"
	cat "$copy/table" >$table
	exit
fi

cp -R go.mod go.sum api "$copy"
mkdir -p "$copy/config/crd"
find "$copy/api" -name 'zz_generated.*' -delete
(cd "$copy" && generate)
table >"$copy/table"
diff -ru api "$copy/api" && diff -ru -x "*.go" config/crd "$copy/config/crd" && diff -u $table "$copy/table" || {
	echo "generated files are not current: run 'make generate' and commit the result" >&2
	exit 1
}
