#!/bin/sh
# Builds Kubernetes' five node binaries once, at the version of go.mod, and prints the folder they are in.
# The first time takes 5 to 10 minutes on two cores, 2.2 GB of memory and the Go module proxy.
set -eu
cd "$(dirname "$0")"

version=$(sed -n 's/^require k8s.io\/kubernetes //p' go.mod)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/splitwiser/kubernetes-$version

if [ ! -d "$folder" ]; then
    command -v go >/dev/null || {
        printf 'Kubernetes is built with Go, which is missing.\nhelp: install Go 1.26 or newer, or name a cluster by KUBECONFIG\n' >&2
        exit 1
    }
    echo "Building Kubernetes $version (once, 5 to 10 minutes)" >&2
    minor=${version#v1.}
    symbols=k8s.io/component-base/version
    rm -rf "$folder.partial"
    mkdir -p "$folder.partial"
    # Helm's kubeVersion check reads the version, and without one a server says v0.0.0.
    CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -o "$folder.partial/" \
        -ldflags "-s -w -X $symbols.gitVersion=$version -X $symbols.gitMajor=1 -X $symbols.gitMinor=${minor%%.*}" tool >&2
    mv "$folder.partial" "$folder"
fi
echo "$folder"
