"""Makes a node of the namespaces that a process was started in: folders of its own, and a network without a way out."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

from tools.cluster import configs
from tools.cluster import layout as at
from tools.cluster.layout import Layout

# What the node's programs write to. Whatever they write goes to a layer that ends with the cluster.
OVERLAID = ("/etc", "/var/lib", "/var/log", "/opt")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def make_node(layout: Layout) -> None:
    """Must run as the first process of its own mount, network, PID, IPC and UTS namespaces."""
    _own_folders(layout)
    _own_network()
    socket.sethostname(at.NODE)
    cni = Path("/etc/cni/net.d/10-pods.conflist")
    shutil.rmtree(cni.parent, ignore_errors=True)
    cni.parent.mkdir(parents=True)
    cni.write_text(json.dumps(configs.network()))
    Path("/etc/resolv.conf").write_text(f"nameserver {at.NODE_ADDRESS}\n")


def _own_folders(layout: Layout) -> None:
    for folder in OVERLAID:
        upper, work = (layout.state / kind / folder.strip("/").replace("/", "-") for kind in ("upper", "work"))
        upper.mkdir(parents=True)
        work.mkdir(parents=True)
        _run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={folder},upperdir={upper},workdir={work}", folder)
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    # Volumes are mounted below: on a layer of an overlay that works less well than on a plain folder.
    kubelet = layout.state / "kubelet"
    kubelet.mkdir()
    at.KUBELET.mkdir(exist_ok=True)
    _run("mount", "--bind", str(kubelet), str(at.KUBELET))
    # The kubelet wants to see what containers mount.
    _run("mount", "--make-rshared", "/")
    os.umask(0o022)


def _own_network() -> None:
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{at.NODE_ADDRESS}/32", "dev", "lo")
    # Addresses of Services have no host behind them; kube-proxy sends them on before the route matters.
    _run("ip", "route", "add", at.SERVICE_CIDR, "dev", "lo", "src", at.NODE_ADDRESS)
    _run("ip", "route", "add", "unreachable", at.CLUSTER_CIDR, "metric", "1000")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
