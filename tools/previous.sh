#!/usr/bin/env bash
# Prepares the release before this one for the end-to-end tests, built from its own
# source: its chart, and its images for this machine with the tag e2e-previous.
#
#   tools/previous.sh FOLDER
#
# FOLDER then has charts/smi, images/*.tar and, in the file version, which one it
# is: the newest tag of a release before HEAD, else the commit that
# test/e2e/previous-release names. What is there already is not built again.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?folder to write}")

if ! version=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null); then
	version=$(grep -v '^#' test/e2e/previous-release)
fi
if ! commit=$(git rev-parse --quiet --verify "$version^{commit}"); then
	echo "tools/previous.sh: this clone does not have $version, the release before this one, from which the tests upgrade." >&2
	echo "A shallow clone gets it by: git fetch --unshallow --tags" >&2
	exit 1
fi
if [[ "$(cat "$out/version" 2>/dev/null)" == "$version $commit" ]]; then
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git archive "$commit" | tar -x -C "$work"
make -C "$work" images-local VERSION=e2e-previous REGISTRY=localhost
rm -rf "$out"
mkdir -p "$out/charts"
mv "$work/charts/smi" "$out/charts/smi"
mkdir "$out/images"
mv "$work"/dist/images-local/*.tar "$out/images/"
rm "$out/images/smi-sample.tar" # The applications of the tests are this version's.
echo "$version $commit" >"$out/version"
