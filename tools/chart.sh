#!/usr/bin/env bash
# Checks charts/smi and writes into the folder that is given: the packaged chart,
# and smi.yaml, the manifests that it makes, for clusters without Helm. VERSION and
# REGISTRY say which images they run; HELM which Helm is used.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?the folder to write to}
version=${VERSION:-}
registry=${REGISTRY:-localhost}
helm=${HELM:-helm}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R charts/smi "$copy"
sed -i.before "s|^  registry: localhost$|  registry: $registry|" "$copy/smi/values.yaml"
rm "$copy/smi/values.yaml.before"

"$helm" lint --strict --quiet "$copy/smi"
mkdir -p "$out"
# A chart's version is a semantic one; what is no release has none.
chart=0.0.0
[[ $version =~ ^v?([0-9]+\.[0-9]+\.[0-9]+.*)$ ]] && chart=${BASH_REMATCH[1]}
"$helm" package "$copy/smi" --version "$chart" --app-version "${version:-dev}" --destination "$out" >/dev/null

render() { "$helm" template smi "$out/smi-$chart.tgz" --namespace smi-system "$@"; }
{
	cat <<-'HEAD'
		# The mesh for clusters without Helm; docs/install.md tells how to install, upgrade
		# and remove it.
		apiVersion: v1
		kind: Namespace
		metadata:
		  name: smi-system
	HEAD
	# What a hook does before everything else comes first. It is all that of the
	# hooks is needed: smi uninstall does the others' work.
	render --show-only templates/hooks/install.yaml | sed '/^  annotations:$/d'
	render --no-hooks
} | sed -E '/^ *(helm\.sh\/|app\.kubernetes\.io\/(managed-by|instance): )/d; /^(# Source: .*)?$/d' >"$out/smi.yaml"
echo "$out/smi-$chart.tgz and $out/smi.yaml"
