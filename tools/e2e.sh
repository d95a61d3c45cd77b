#!/usr/bin/env bash
# Runs the end-to-end tests (test/e2e), with whatever flags of go test are given:
#
#   on a cluster of this machine's own, which is brought up for it and removed in
#   the end, unless it was there before; or
#
#   with E2E_KUBECONFIG=1 on the cluster of KUBECONFIG, which can pull the images
#   smi, smi-proxy and smi-sample of E2E_REGISTRY with the tag E2E_TAG, and, for
#   the test of an ingress, the image of HAProxy that E2E_HAPROXY names; and, for
#   that of an upgrade, smi and smi-proxy with the tag E2E_PREVIOUS_TAG of the
#   release before, whose chart is E2E_PREVIOUS_CHART.
#
# E2E_KEEP=1 leaves the mesh and the cluster as they are in the end.
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=bin/cluster
(cd test/cluster && go build -trimpath -o ../../$cluster .)

if [[ "${E2E_KUBECONFIG:-}" == 1 ]]; then
	: "${KUBECONFIG:?with E2E_KUBECONFIG=1 it says which cluster to use}"
	: "${E2E_REGISTRY:?the registry of the images}" "${E2E_TAG:?the tag of the images}"
	export HELM="${HELM:-$(command -v helm)}"
else
	$cluster build
	if ! $cluster status >/dev/null 2>&1 && [[ "${E2E_KEEP:-}" != 1 ]]; then
		trap '$cluster down' EXIT
	fi
	$cluster up
	make images-local VERSION=e2e REGISTRY=localhost
	# The tests' ingress is no part of the project: once packed it stays as it is.
	[[ -f dist/haproxy.tar ]] || tools/haproxy.sh localhost/haproxy:e2e dist/haproxy.tar
	archives=(dist/images-local/*.tar dist/haproxy.tar)
	# Only the full suite upgrades from the release before.
	if [[ " $* " != *' -short '* ]]; then
		tools/previous.sh dist/previous
		archives+=(dist/previous/images/*.tar)
		export E2E_PREVIOUS_CHART=dist/previous/charts/smi E2E_PREVIOUS_TAG=e2e-previous
	fi
	$cluster load-image "${archives[@]}"
	KUBECONFIG=$($cluster kubeconfig)
	HELM=$(PATH="$($cluster path):$PATH" command -v helm)
	export KUBECONFIG HELM E2E_REGISTRY=localhost E2E_TAG=e2e E2E_CLUSTER="$PWD/$cluster" E2E_HAPROXY=localhost/haproxy:e2e
fi
go test -tags e2e -count=1 -timeout 60m "$@" ./test/e2e
