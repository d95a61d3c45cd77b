#!/usr/bin/env bash
# Runs the conformance suite on the standalone mesh, with a key that lives as long
# as this run, and leaves a signed report, the public key and the matrix page in
# the folder that is given. What is signed is verified by processes of their own.
# The folder is a new one, an empty one, or one that an earlier run has left: in a
# folder with anything else in it nothing is touched.
# Usage: tools/conformance.sh FOLDER WHO
set -euo pipefail
out=${1:?usage: tools/conformance.sh FOLDER WHO}
by=${2:?usage: tools/conformance.sh FOLDER WHO}
out=$(realpath -m -- "$out") # a relative folder is the caller's, not this repository's
cd "$(dirname "$0")/.."
smi=${SMI:-bin/smi}

# All that a run writes, below the folder.
own=(conformance.pub index.html matrix.json
	standalone/report.json standalone/report.dsse.json standalone/report.yaml standalone/junit.xml standalone/index.html)
if [ -e "$out" ]; then
	if [ ! -d "$out" ]; then
		echo "error: $out is no folder: name a new one" >&2
		exit 2
	fi
	known=(-path ./standalone -type d)
	for name in "${own[@]}"; do
		known+=(-o -path "./$name" ! -type d)
	done
	stranger=$(cd "$out" && find . -mindepth 1 ! \( "${known[@]}" \) -print -quit)
	if [ -n "$stranger" ]; then
		echo "error: $out/${stranger#./} is not what a run leaves, and is not to be lost: name a new folder" >&2
		exit 2
	fi
	(cd "$out" && rm -f "${own[@]}")
fi
mkdir -p "$out"

keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
"$smi" conformance keygen --out "$keys" >/dev/null
cp "$keys/conformance.pub" "$out/"

failed=0
"$smi" conformance run --report "$out/standalone" --sign "$keys/conformance.key" --by "$by" || failed=$?
[ $failed -le 1 ] || exit $failed # the run itself went wrong
"$smi" conformance verify "$out/standalone/report.json" --key "$out/conformance.pub"
"$smi" conformance matrix "$out" --key "$out/conformance.pub" -o html --out "$out/index.html"
"$smi" conformance matrix "$out" --key "$out/conformance.pub" -o json --out "$out/matrix.json"

cat <<END

the report    $out/standalone/index.html
the matrix    $out/index.html
for programs  $out/standalone/report.json, $out/standalone/junit.xml, $out/matrix.json
verify it     $smi conformance verify $out/standalone/report.json --key $out/conformance.pub
END
exit $failed
