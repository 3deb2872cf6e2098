#!/bin/sh
# A Debian with Python as an image, made from Debian's packages: for machines that cannot pull from a registry.
# Needs root, debootstrap and a Docker engine. The host's CA certificates go in with it, so that downloads in
# `docker build` work behind the same proxy as on the host.
#
#   make-base-image.sh [IMAGE]        SUITE=bookworm MIRROR=URL, by default the one that this host's apt uses
set -eu

image=${1:-bike-company/debian-python:bookworm}
suite=${SUITE:-bookworm}
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 2>/dev/null | head -n 1)}
certificates=/etc/ssl/certs/ca-certificates.crt

fail() {
    echo "error: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "debootstrap needs root: sudo make docker-base"
[ -n "$mirror" ] || fail "this host's apt knows no mirror of $suite: name one with MIRROR"
command -v debootstrap >/dev/null || fail "debootstrap is missing (Debian: apt-get install debootstrap)"
docker version --format '{{.Server.Version}}' >/dev/null || fail "there is no Docker engine to talk to"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
echo "Making $image of Debian $suite ..."
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$folder/root" "$mirror" \
    >"$folder/log" 2>&1 || {
    tail -n 20 "$folder/log" >&2
    fail "debootstrap failed"
}
[ ! -f "$certificates" ] || cp "$certificates" "$folder/root$certificates"
rm -rf "$folder/root/var/cache/apt/archives" "$folder/root/var/lib/apt/lists" "$folder/root/var/log"/*.log
mkdir -p "$folder/root/var/cache/apt/archives/partial" "$folder/root/var/lib/apt/lists/partial"
tar --create --numeric-owner --sort=name --directory "$folder/root" --exclude './dev/*' --exclude './proc/*' \
    --exclude './sys/*' . |
    docker import --change 'ENV LANG=C.UTF-8' --change 'CMD ["python3"]' - "$image"
