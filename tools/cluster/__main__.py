"""Runs one command with KUBECONFIG naming a real Kubernetes of one node, and leaves nothing of it behind.

`python -m tools.cluster [--images FOLDER] [--gpu-replicas N] -- COMMAND...`; the exit status is the command's.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tools.cluster import host
from tools.cluster.layout import Layout

PROGRAMS = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "nft": "nftables",
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "openssl": "openssl",
}
NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")


def _refuse_unless_possible() -> None:
    if os.geteuid() != 0:
        sys.exit("A cluster needs namespaces, mounts and control groups of its own.\nhelp: run this as root")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if not Path("/usr/lib/cni/ptp").exists():
        missing.append("containernetworking-plugins")
    if missing:
        sys.exit(f"The cluster's programs are not all here.\nhelp: apt install {' '.join(missing)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description=__doc__)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "splitwiser"
    parser.add_argument("--images", type=Path, default=cache / "images", help="OCI layout to load (make images)")
    parser.add_argument("--binaries", type=Path, required=True, help="what tools/cluster/kubernetes/build.sh prints")
    parser.add_argument("--gpu-replicas", type=int, default=2, help="pods that may share the stand-in of a GPU")
    parser.add_argument("--logs", type=Path, default=Path("runs/cluster"), help="where the programs' logs stay")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main() -> int:
    """Exit status of the command, or 1 where the cluster did not come up."""
    options = _options()
    _refuse_unless_possible()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(1))
    options.logs.mkdir(parents=True, exist_ok=True)
    with host.state_folder() as state:
        layout = Layout(
            state, options.logs.resolve(), options.binaries, options.images.resolve(), state.name, options.gpu_replicas
        )
        fields = json.dumps(asdict(layout), default=str)
        node = [sys.executable, "-m", "tools.cluster.node", fields, *options.command]
        # Whatever ends this process ends the cluster's first one, and that all others: they share its PID namespace.
        return host.wait(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, *node]))


if __name__ == "__main__":
    sys.exit(main())
