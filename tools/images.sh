#!/bin/sh
# Builds the images named (router store worker worker-vllm experiments worker-gpu; redis and pause are the cluster tests' own)
# into the OCI layout OUT, and prints their sizes as JSON. Without BASE_IMAGE the base is made of Debian's packages, so that no
# registry is needed. Only worker-gpu is always built on an image from one, or on GPU_BASE_IMAGE.
# Called by `make images`. Needs root, buildah, mmdebstrap and catatonit.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/splitwiser
out=${OUT:-$cache/images}
tag=${TAG:-test}
packages=usr-is-merged,python3,python3-venv,ca-certificates
base_tar=$cache/debian-12-python.tar
context=tests/cluster/images

for tool in buildah mmdebstrap catatonit; do
    command -v "$tool" >/dev/null || {
        printf '%s is missing.\nhelp: install it (on Debian and Ubuntu: apt install buildah mmdebstrap catatonit)\n' "$tool" >&2
        exit 1
    }
done
mkdir -p "$cache"
work=$(mktemp -d "$cache/images.XXXXXX")
trap 'rm -rf "$work"' EXIT

# buildah with a storage of its own: images and caches of this machine's user stay apart. The certificates are this machine's.
store="--root $cache/containers --runroot $work/run --storage-driver overlay"
build() {
    # shellcheck disable=SC2086
    buildah $store bud --isolation chroot --layers --quiet --volume /etc/ssl/certs:/etc/ssl/certs:ro "$@" >&2
}

if [ ! -f "$base_tar" ]; then
    echo "Making the base image of Debian's packages (once, a minute or two)" >&2
    mmdebstrap --quiet --variant=minbase --include="$packages" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' bookworm "$work/base.tar" >&2
    mv "$work/base.tar" "$base_tar"
fi
if [ -z "${BASE_IMAGE:-}" ]; then
    BASE_IMAGE=localhost/splitwiser-base:bookworm
    mkdir "$work/context"
    ln "$base_tar" "$work/context/base.tar"
    build --target base --tag "$BASE_IMAGE" --file "$context/Containerfile" "$work/context"
fi

mkdir -p "$out"
for name in "$@"; do
    image=localhost/splitwiser-$name:$tag
    start=$(date +%s)
    case $name in
    redis) build --build-arg BASE_IMAGE="$BASE_IMAGE" --target redis --tag "$image" --file "$context/Containerfile" "$context" ;;
    pause)
        mkdir -p "$work/pause"
        cp "$(command -v catatonit)" "$work/pause/"
        build --target pause --tag "$image" --file "$context/Containerfile" "$work/pause"
        ;;
    worker-gpu)
        build ${GPU_BASE_IMAGE:+--build-arg "BASE_IMAGE=$GPU_BASE_IMAGE"} --tag "$image" --file containers/Containerfile.gpu .
        ;;
    *)
        build --build-arg BASE_IMAGE="$BASE_IMAGE" --build-arg TORCH_INDEX_URL="${TORCH_INDEX_URL:-}" \
            --target "$name" --tag "$image" --file containers/Containerfile .
        ;;
    esac
    # Compressing the layers takes most of the time, so what is there already is not written again.
    # shellcheck disable=SC2086
    id=$(buildah $store images --quiet --no-trunc "$image")
    written=$cache/images.written-$name
    if ! grep -q "\"$image\"" "$out/index.json" 2>/dev/null || [ "$(cat "$written" 2>/dev/null)" != "$out $id" ]; then
        # shellcheck disable=SC2086
        buildah $store push --quiet "$image" "oci:$out:$image" >&2
        echo "$out $id" >"$written"
    fi
    echo "$image built in $(($(date +%s) - start)) s" >&2
done
python3 tools/image_layout.py "$out"
