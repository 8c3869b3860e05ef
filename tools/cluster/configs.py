"""The configuration files of the node's programs."""

import json
import secrets
import subprocess
from typing import Any

from tools.cluster import layout as at
from tools.cluster.layout import Layout

CONTAINERD = """
version = 2
root = "{state}/containerd"
state = "/run/containerd"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
"""


def write(layout: Layout) -> None:
    """Writes every file that a program of the node is started with. /etc must be the cluster's own by now."""
    layout.pki.mkdir()
    key = str(layout.pki / "service-accounts.key")
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    public = ["openssl", "rsa", "-in", key, "-pubout", "-out", str(layout.pki / "service-accounts.pub")]
    subprocess.run(public, check=True, capture_output=True)
    token = secrets.token_hex(16)
    (layout.state / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    layout.kubeconfig.write_text(json.dumps(_kubeconfig(layout, token)))
    (layout.state / "kubelet.json").write_text(json.dumps(_kubelet(layout)))
    (layout.state / "containerd.toml").write_text(
        CONTAINERD.format(state=layout.state, socket=at.CONTAINERD, pause=at.PAUSE_IMAGE)
    )


def network() -> dict[str, Any]:
    """CNI: a wire from the node to each pod, so that all traffic is routed and Services need no bridge."""
    addresses = {"type": "host-local", "subnet": at.POD_SUBNET, "routes": [{"dst": "0.0.0.0/0"}]}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}]}


def _kubeconfig(layout: Layout, token: str) -> dict[str, Any]:
    cluster = {"server": at.API_SERVER, "certificate-authority": str(layout.pki / "api" / "apiserver.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }


def _kubelet(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": at.NODE_ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.control_group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{at.CONTAINERD}",
        "clusterDNS": [at.NODE_ADDRESS],
        "clusterDomain": at.DOMAIN,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }
