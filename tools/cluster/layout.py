"""Addresses and folders of the test cluster. All addresses exist in the cluster's own network namespace alone."""

from dataclasses import dataclass
from pathlib import Path

NODE = "node"
NODE_ADDRESS = "10.244.0.1"
POD_SUBNET = "10.244.1.0/24"
CLUSTER_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/24"
DOMAIN = "cluster.local"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
ETCD = "http://127.0.0.1:2379"
CONTAINERD = "/run/containerd/containerd.sock"
KUBELET = Path("/var/lib/kubelet")
PAUSE_IMAGE = "localhost/splitwiser-pause:test"


@dataclass(frozen=True)
class Layout:
    """Where one run of the cluster keeps what."""

    state: Path
    """Gone with the cluster."""
    logs: Path
    """Stay, for a look at what went wrong."""
    binaries: Path
    """Kubernetes' own programs."""
    images: Path
    """An OCI layout; every image in it is on the node from the start."""
    control_group: str
    """Path below each cgroup controller's root."""
    gpu_replicas: int
    """Pods that may share the node's GPU, which is a stand-in. 0: the node has none."""

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.state / "pki"
