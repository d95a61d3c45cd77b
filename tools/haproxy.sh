#!/usr/bin/env bash
# Packs Debian's HAProxy into an image for this machine, as a stand-in for any
# ingress in the end-to-end tests. It is for tests only and in no release.
#
#   tools/haproxy.sh IMAGE ARCHIVE
#
# The packages are those that this machine's sources offer now; apt checks them.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:?name of the image} archive=$(realpath -m "${2:?archive to write}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What haproxy depends on, down to the C library.
packages=(haproxy libc6 libcap2 libcrypt1 libgcc-s1 libgcrypt20 libgpg-error0 liblua5.3-0 liblz4-1 liblzma5
	libopentracing-c-wrapper0 libopentracing1 libpcre2-8-0 libssl3 libstdc++6 libsystemd0 libzstd1)
# apt fetches as a user of its own, who has to be able to write here.
chmod 755 "$work"
mkdir -m 777 "$work/packages"
(cd "$work/packages" && apt-get -qq download "${packages[@]}")
for package in "$work"/packages/*.deb; do
	dpkg-deb --extract "$package" "$work/root"
done

files=(--file "/usr/sbin/haproxy=$work/root/usr/sbin/haproxy:0755")
# Libraries by the names that programs ask for, and the loader by its own.
while read -r library; do
	path=${library#"$work/root"}
	files+=(--file "/usr/lib/${path#*/lib/}=$library:0755")
done < <(find -L "$work/root/lib" "$work/root/usr/lib" -name 'lib*.so.*' -type f | sort)
loader=$(find -L "$work/root" -name 'ld-linux*.so.*' -path '*/lib*/ld-linux*' -not -path '*/*-linux-gnu/*' | head -n 1)
files+=(--file "${loader#"$work/root"}=$loader:0755")

(cd tools/image && go build -trimpath -buildvcs=false -o "$PWD/../../bin/image" .)
bin/image pack --ref "$image" "${files[@]}" --env LD_LIBRARY_PATH="/usr/lib/$(uname -m)-linux-gnu" \
	--user 65532:65532 --entrypoint /usr/sbin/haproxy -o "$archive"
