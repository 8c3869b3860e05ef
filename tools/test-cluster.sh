#!/bin/sh
# Runs the cluster tests, with what is given to pytest. On the cluster of KUBECONFIG, which must have the images of `make images`
# and localhost/splitwiser-redis, if that is set; else on one that is built and started here, and gone afterwards.
# Called by `make test-cluster`. --packages prints the Debian packages that it needs, and no more.
set -eu

packages="buildah catatonit containerd containernetworking-plugins etcd-server iproute2 mmdebstrap nftables runc"
if [ "${1:-}" = --packages ]; then
    echo "$packages"
    exit 0
fi

PATH=$(PYTHON=.venv/bin/python tools/kube-tools.sh):$PATH
export PATH SPLITWISER_TEST_CLUSTER=1
# Releases start one after the other, but most of a test is waiting: each module of tests has a process and a namespace.
parallel="--numprocesses 8"
if [ -n "${KUBECONFIG:-}" ]; then
    # shellcheck disable=SC2086
    exec .venv/bin/python -m pytest tests/cluster $parallel "$@"
fi

if [ "$(id -u)" -ne 0 ]; then
    printf 'A cluster needs namespaces, mounts and control groups of its own.\nhelp: run this as root, or name a cluster by KUBECONFIG\n' >&2
    exit 1
fi
# shellcheck disable=SC2086
if command -v dpkg >/dev/null && ! dpkg --status $packages >/dev/null 2>&1; then
    printf 'Some of the Debian packages that the cluster is made of are missing.\nhelp: apt install --no-install-recommends %s\n' "$packages" >&2
    exit 1
fi
binaries=$(tools/cluster/kubernetes/build.sh)
tools/images.sh pause redis router store experiments
status=0
# shellcheck disable=SC2086
.venv/bin/python -m tools.cluster --binaries "$binaries" -- .venv/bin/python -m pytest tests/cluster $parallel "$@" || status=$?
if [ $# -eq 0 ]; then
    # Of the cluster itself, from outside.
    SPLITWISER_TEST_RUNNER=$binaries .venv/bin/python -m pytest tests/tools/cluster || status=$?
fi
exit $status
