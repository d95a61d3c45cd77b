#!/usr/bin/env bash
# Writes what is generated from the types in api/: deep copies, and the
# CustomResourceDefinitions in config/crd. With --verify it writes nothing, and
# fails if what is there is not current.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

generate() { # in the current folder
	local tool=(go tool -modfile="$root/tools/go.mod" controller-gen)
	rm -f config/crd/*.yaml
	"${tool[@]}" object paths=./api/...
	"${tool[@]}" crd paths=./api/... output:crd:dir=config/crd
}

if [ "${1:-}" != --verify ]; then
	generate
	exit
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R go.mod go.sum api "$copy"
mkdir -p "$copy/config/crd"
find "$copy/api" -name 'zz_generated.*' -delete
(cd "$copy" && generate)
diff -ru api "$copy/api" && diff -ru config/crd "$copy/config/crd" || {
	echo "generated files are not current: run 'make generate' and commit the result" >&2
	exit 1
}
