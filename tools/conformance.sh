#!/usr/bin/env bash
# Runs the conformance suite on the standalone mesh, with a key that lives as long
# as this run, and leaves a signed report, the public key and the matrix page in
# the folder that is given. What is signed is verified by processes of their own.
# Usage: tools/conformance.sh FOLDER WHO
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: tools/conformance.sh FOLDER WHO}
by=${2:?usage: tools/conformance.sh FOLDER WHO}

keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
rm -rf "$out"
mkdir -p "$out"
bin/smi conformance keygen --out "$keys" >/dev/null
cp "$keys/conformance.pub" "$out/"

failed=0
bin/smi conformance run --report "$out/standalone" --sign "$keys/conformance.key" --by "$by" || failed=$?
[ $failed -le 1 ] || exit $failed # there is no report
bin/smi conformance verify "$out/standalone/report.json" --key "$out/conformance.pub"
bin/smi conformance matrix "$out" --key "$out/conformance.pub" -o html --out "$out/index.html"
bin/smi conformance matrix "$out" --key "$out/conformance.pub" -o json --out "$out/matrix.json"

cat <<END

the report    $out/standalone/index.html
the matrix    $out/index.html
for programs  $out/standalone/report.json, $out/standalone/junit.xml, $out/matrix.json
verify it     bin/smi conformance verify $out/standalone/report.json --key $out/conformance.pub
END
exit $failed
