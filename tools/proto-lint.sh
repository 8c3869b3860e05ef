#!/bin/sh
# Checks proto/ with buf: its lint rules, and that nothing a caller relies on has changed since the last release.
# Called by `make proto-lint`. AGAINST= names another git ref to compare with; AGAINST=none compares with nothing.
set -eu

version=v1.73.0
buf=.cache/bin/buf-$version

if [ ! -x "$buf" ]; then
    if ! command -v go >/dev/null; then
        echo "The protocol's lint needs Go, which is not installed."
        [ -z "${CI:-}" ] || exit 1
        echo "Skipped here; CI runs it."
        exit 0
    fi
    echo "Building buf $version (once)"
    mkdir -p .cache/bin
    GOBIN="$PWD/.cache/bin/build" go install "github.com/bufbuild/buf/cmd/buf@$version"
    mv .cache/bin/build/buf "$buf"
fi

"$buf" lint
"$buf" format --diff --exit-code
echo "proto/ keeps buf's rules"

# A release is a promise. A branch is compared with main as well, so that a change of an unreleased contract is made knowingly.
against=${AGAINST:-$(git describe --tags --abbrev=0 2>/dev/null || true)}
if [ -z "$against" ] && [ "$(git rev-parse --abbrev-ref HEAD 2>/dev/null)" != main ] &&
    git rev-parse --verify --quiet refs/heads/main >/dev/null; then
    against=main
fi
if [ -n "$against" ] && [ "$against" != none ]; then
    echo "Comparing the protocol with $against"
    "$buf" breaking --against "$(git rev-parse --path-format=absolute --git-common-dir)#ref=$against" || {
        echo "This breaks callers of $against. help: add instead of changing; before the first release, AGAINST=none skips this"
        exit 1
    }
fi
