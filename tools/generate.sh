#!/usr/bin/env bash
# Writes what is generated: from the types in api/ deep copies and the
# CustomResourceDefinitions in config/crd, from .proto files the code of messages
# and services, from the conformance suite the table of rules in docs/. With --verify it writes nothing, and fails if what is there
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

protocol=internal/certify/certifyv1
protocol() { # into the folder that is named
	go tool -modfile=tools/go.mod buf generate $protocol --template tools/proto.yaml -o "$1"
}

table=docs/conformance-rules.md
table() { go run ./conformance/internal/ruletable <docs/semantics.md; }

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

if [ "${1:-}" != --verify ]; then
	generate
	protocol .
	table >"$copy/table"
	cat "$copy/table" >$table
	exit
fi

cp -R go.mod go.sum api "$copy"
mkdir -p "$copy/config/crd"
find "$copy/api" -name 'zz_generated.*' -delete
(cd "$copy" && generate)
protocol "$copy"
cp $protocol/{doc.go,*.proto} "$copy/$protocol"
table >"$copy/table"
diff -ru api "$copy/api" && diff -ru -x "*.go" config/crd "$copy/config/crd" && diff -u $table "$copy/table" && diff -ru $protocol "$copy/$protocol" || {
	echo "generated files are not current: run 'make generate' and commit the result" >&2
	exit 1
}
