"""The programs of the node: how each is started. Where one must be ready before another, node.py waits."""

import sys
from collections.abc import Sequence

from tools.cluster import layout as at
from tools.cluster.layout import Layout

Command = Sequence[str]


def etcd(layout: Layout) -> Command:
    peer = "http://127.0.0.1:2380"
    return [
        "etcd",
        f"--data-dir={layout.state}/etcd",
        f"--listen-client-urls={at.ETCD}",
        f"--advertise-client-urls={at.ETCD}",
        f"--listen-peer-urls={peer}",
        "--unsafe-no-fsync",
    ]


def containerd(layout: Layout) -> Command:
    return ["containerd", "--config", f"{layout.state}/containerd.toml"]


def api_server(layout: Layout) -> Command:
    return [
        f"{layout.binaries}/kube-apiserver",
        f"--etcd-servers={at.ETCD}",
        f"--bind-address={at.NODE_ADDRESS}",
        f"--advertise-address={at.NODE_ADDRESS}",
        f"--cert-dir={layout.pki}/api",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.pki}/service-accounts.pub",
        f"--service-account-signing-key-file={layout.pki}/service-accounts.key",
        f"--service-cluster-ip-range={at.SERVICE_CIDR}",
        f"--token-auth-file={layout.state}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def controller_manager(layout: Layout) -> Command:
    return [
        f"{layout.binaries}/kube-controller-manager",
        f"--kubeconfig={layout.kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--service-account-private-key-file={layout.pki}/service-accounts.key",
        f"--root-ca-file={layout.pki}/api/apiserver.crt",
        "--use-service-account-credentials=false",
        "--leader-elect=false",
    ]


def scheduler(layout: Layout) -> Command:
    kubeconfig = f"--kubeconfig={layout.kubeconfig}"
    return [f"{layout.binaries}/kube-scheduler", kubeconfig, "--bind-address=127.0.0.1", "--leader-elect=false"]


def kubelet(layout: Layout) -> Command:
    return [
        f"{layout.binaries}/kubelet",
        f"--kubeconfig={layout.kubeconfig}",
        f"--config={layout.state}/kubelet.json",
        f"--hostname-override={at.NODE}",
        f"--node-ip={at.NODE_ADDRESS}",
    ]


def proxy(layout: Layout) -> Command:
    return [
        f"{layout.binaries}/kube-proxy",
        f"--kubeconfig={layout.kubeconfig}",
        f"--hostname-override={at.NODE}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={at.CLUSTER_CIDR}",
        f"--bind-address={at.NODE_ADDRESS}",
        "--metrics-bind-address=127.0.0.1:10249",
        "--healthz-bind-address=127.0.0.1:10256",
        # Limits of the whole machine: not the cluster's to change.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
    ]


def dns(layout: Layout) -> Command:
    return [sys.executable, "-m", "tools.cluster.dns", str(layout.kubeconfig), at.NODE_ADDRESS]


def gpu_plugin(layout: Layout) -> Command:
    return [sys.executable, "-m", "tools.cluster.mps_plugin", "nvidia.com/gpu", str(layout.gpu_replicas)]
