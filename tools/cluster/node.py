"""The first process of the cluster's namespaces: starts the node's programs, then the command, and ends with it.

When this process ends the kernel ends all others of its PID namespace; with the last one go the network and the mounts.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.cluster import configs, isolation, programs
from tools.cluster import layout as at
from tools.cluster.layout import Layout

Clock = Callable[[], float]


class Node:
    """Started programs, and what became of them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names: dict[int, str] = {}

    def start(self, program: Callable[[Layout], Sequence[str]]) -> None:
        """Starts `program` with its output in a log of its name, away from the terminal's Ctrl-C."""
        with (self._layout.logs / f"{program.__name__}.log").open("wb") as log:
            started = subprocess.Popen(
                program(self._layout), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._names[started.pid] = program.__name__

    def wait_until(self, what: str, *command: str, timeout_s: float = 90) -> None:
        """Until `command` succeeds. Exits with the log of a program that ended, or when the time is over."""
        deadline = time.monotonic() + timeout_s
        while subprocess.run(command, capture_output=True, check=False).returncode != 0:
            self._reap()
            if time.monotonic() > deadline:
                sys.exit(f"The cluster's {what} not ready after {timeout_s:.0f} s.\nhelp: see {self._layout.logs}")
            time.sleep(0.2)

    def run(self, command: Sequence[str]) -> int:
        """Runs `command`, adopts and reaps what others leave behind, and returns its exit status."""
        child = subprocess.Popen(command, env=environment(self._layout))
        while True:
            with contextlib.suppress(InterruptedError):
                pid, status = os.wait()
                if pid == child.pid:
                    return os.waitstatus_to_exitcode(status)
                self._ended(pid, status)

    def _reap(self) -> None:
        for pid in self._names:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        if (name := self._names.get(pid)) is None:
            return
        log = self._layout.logs / f"{name}.log"
        print("\n".join(log.read_text(errors="replace").splitlines()[-10:]), file=sys.stderr)
        sys.exit(f"The cluster's {name} ended ({os.waitstatus_to_exitcode(status)}).\nhelp: its log is {log}")


def environment(layout: Layout) -> dict[str, str]:
    """What helm and kubectl need, with their own caches in the cluster's folder."""
    own = {"KUBECONFIG": layout.kubeconfig, "KUBECACHEDIR": layout.state / "kubectl"}
    helm = {f"HELM_{kind}_HOME": layout.state / "helm" / kind.lower() for kind in ("CACHE", "CONFIG", "DATA")}
    mark = {"SPLITWISER_TEST_NODE": "1", "SPLITWISER_TEST_NODE_LOGS": layout.logs}
    return {**os.environ, **{name: str(value) for name, value in (own | helm | mark).items()}}


def bring_up(node: Node, layout: Layout) -> None:
    """Until the node is ready, its images are loaded and its GPU, if any, can be asked for."""
    node.start(programs.etcd)
    node.start(programs.containerd)
    node.wait_until("containerd was", "ctr", "version")
    node.start(programs.api_server)
    loading = _load_images(layout)
    kubectl = ("kubectl", f"--kubeconfig={layout.kubeconfig}")
    node.wait_until("API server was", *kubectl, "get", "--raw", "/readyz")
    for program in (programs.controller_manager, programs.scheduler, programs.kubelet, programs.proxy, programs.dns):
        node.start(program)
    node.wait_until("node was", *kubectl, "wait", "--for=condition=Ready", f"node/{at.NODE}", "--timeout=5s")
    # Without it no pod is admitted.
    node.wait_until("service accounts were", *kubectl, "get", "serviceaccount", "default")
    if layout.gpu_replicas:
        node.start(programs.gpu_plugin)
        allocatable = r"--for=jsonpath={.status.allocatable.nvidia\.com/gpu}=" + str(layout.gpu_replicas)
        node.wait_until("GPU was", *kubectl, "wait", allocatable, f"node/{at.NODE}", "--timeout=5s")
    if loading.wait():
        sys.exit(f"The cluster's images could not be loaded.\nhelp: `make images` makes {layout.images} anew")


def _load_images(layout: Layout) -> subprocess.Popen[bytes]:
    """On its way: it takes longer than all else of the start."""
    script = 'tar -C "$1" -cf - . | ctr --namespace k8s.io images import - >/dev/null'
    return subprocess.Popen(["sh", "-c", script, "load-images", layout.images])


def main() -> int:
    """Arguments: the layout as JSON, then the command."""
    fields = json.loads(sys.argv[1])
    paths = {name: Path(fields[name]) for name in ("state", "logs", "binaries", "images")}
    layout = Layout(**(fields | paths))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    start = time.monotonic()
    isolation.make_node(layout)
    configs.write(layout)
    node = Node(layout)
    bring_up(node, layout)
    print(json.dumps({"cluster_ready_s": round(time.monotonic() - start, 1)}), flush=True)
    # From now on the command hears Ctrl-C and cleans up; the node waits. A handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGINT, lambda *_: None)
    return node.run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
