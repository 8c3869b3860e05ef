"""kubectl and helm in one namespace, and load from a pod in it."""

import fcntl
import json
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens

CHART = Path(__file__).parents[2] / "charts"
CLIENT = Path(__file__).with_name("load_client.py")
RELEASE = "splitwiser"
ROUTER = f"{RELEASE}-router:50051"
VALUES: dict[str, Any] = {
    "engine": "sim",
    "image": {"registry": "localhost", "tag": "test"},
    # sim needs no torch, so its workers run in the router's image.
    "worker": {"image": {"repository": "splitwiser-router"}},
    "redis": {"image": {"registry": "localhost", "repository": "splitwiser-redis", "tag": "test"}},
    # Every second a pod is not seen to be ready is one more of waiting; nor need anybody be late to hear of an end.
    "pods": {"probes": {"periodSeconds": 1, "failureThreshold": 15}},
    "router": {"lameDuckSeconds": 3},
    # For those who submit.
    "experiments": {"serviceAccount": {"create": True}},
    # Other releases start meanwhile, and the node has few processors: a new request may have to wait for Redis.
    "settings": {"router": {"resolve_every_s": 0.5}, "redis": {"open_timeout_s": 10}},
}


def merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Values with others on top, as helm merges them."""
    both = {key: merged(values[key], more[key]) for key in values.keys() & more.keys() if isinstance(more[key], dict)}
    return {**values, **more, **both}


GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=0)


class CommandFailed(AssertionError):
    """A kubectl or helm that should have worked, with all it printed."""


class Kube:
    """One namespace of the cluster that KUBECONFIG names. installs: a file whose lock is for who starts a release."""

    def __init__(self, namespace: str, installs: Path) -> None:
        self.namespace = namespace
        self._installs = installs

    def run(self, *command: str, stdin: str = "", timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command[0], "--namespace", self.namespace, *command[1:]],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return self._succeed("kubectl", *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        return self._succeed("helm", *arguments)

    def install(self, values: dict[str, Any], *, verb: str = "install", timeout_s: int = 200) -> None:
        """helm install, or upgrade, with `values` on top of those of every test. Returns when all is ready."""
        with self.turn():
            self.start(values, "--wait", f"--timeout={timeout_s}s", verb=verb)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else starts a release within the block."""
        with self._installs.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def refused(self, values: dict[str, Any]) -> str:
        """What helm says of values that it does not install."""
        command = ("helm", "install", RELEASE, str(CHART), "--values", "-")
        done = self.run(*command, stdin=json.dumps(merged(VALUES, values)))
        assert done.returncode != 0, "installed"
        return done.stderr

    def start(self, values: dict[str, Any], *flags: str, verb: str = "install") -> None:
        """Like install, with flags of one's own: without --wait for a release that is not going to be ready."""
        command = ("helm", verb, RELEASE, str(CHART), "--values", "-", *flags)
        self._succeed(*command, stdin=json.dumps(merged(VALUES, values)))

    def last_words(self, component: str) -> list[str]:
        """Termination messages of the containers of a component's pods, those of init containers too."""
        return [
            state["terminated"].get("message", "")
            for pod in self.pods(component)
            for kind in ("initContainerStatuses", "containerStatuses")
            for container in pod["status"].get(kind, ())
            for state in (container["state"], container["lastState"])
            if "terminated" in state
        ]

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl(
            "apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def get(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        found = self.kubectl("get", kind, "--selector", selector, "--output", "json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The release's pods of one kind that are not on their way out."""
        pods = self.get("pods", f"app.kubernetes.io/component={component}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def load(self, requests: int, per_second: float, max_tokens: int = 32) -> "Load":
        """Starts sending from the pod `client`."""
        self.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
        return Load(self.namespace, [ROUTER, str(requests), str(per_second), str(max_tokens)])

    def _succeed(self, *command: str, stdin: str = "") -> str:
        done = self.run(*command, stdin=stdin)
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(command)}: {done.stdout}\n{done.stderr}\n{self._state()}")
        return done.stdout

    def _state(self) -> str:
        pods = self.run("kubectl", "get", "pods", "--output", "wide").stdout
        ends = "{range .items[*].status.containerStatuses[*]}{.name}: {.lastState.terminated.message}{'\\n'}{end}"
        messages = self.run("kubectl", "get", "pods", "--output", f"jsonpath={ends}").stdout
        return pods + messages + self.run("kubectl", "get", "events", "--field-selector", "type=Warning").stdout


@dataclass(frozen=True)
class Answered:
    """What became of one request. max_tokens are all it should have."""

    prompt: list[int]
    tokens: list[int]
    messages: int
    error: str
    s: float

    def is_right(self, max_tokens: int) -> bool:
        """Whether it has exactly the tokens that the engine's definition says, computed here."""
        return self.tokens == expected_tokens(self.prompt, max_tokens, GREEDY)


class Load:
    """Requests on their way."""

    def __init__(self, namespace: str, arguments: Sequence[str]) -> None:
        self._namespace = namespace
        self._stop_file = f"/tmp/stop-{secrets.token_hex(4)}"
        command = ["kubectl", "--namespace", namespace, "exec", "--stdin", "client", "--", "python", "-", *arguments]
        command.append(self._stop_file)
        with CLIENT.open() as script:
            self._client = subprocess.Popen(command, stdin=script, stdout=subprocess.PIPE, text=True)
        self._answered: list[Answered] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.kill()
        self._client.wait()
        assert self._client.stdout is not None
        self._client.stdout.close()

    def wait_for(self, count: int) -> None:
        """Until so many have ended."""
        assert self._client.stdout is not None
        while len(self._answered) < count:
            line = self._client.stdout.readline()
            assert line, f"the client ended after {len(self._answered)} of {count} requests"
            self._answered.append(Answered(**json.loads(line)))

    def stop(self) -> list[Answered]:
        """Send no more; all of them, once each has ended."""
        stopped = ["kubectl", "--namespace", self._namespace, "exec", "client", "--", "touch", self._stop_file]
        subprocess.run(stopped, check=True, timeout=60)
        assert self._client.stdout is not None
        self._answered += [Answered(**json.loads(line)) for line in self._client.stdout]
        assert self._client.wait(timeout=30) == 0
        return self._answered

    def finish(self, requests: int) -> list[Answered]:
        """All of them, once each has ended."""
        self.wait_for(requests)
        assert self._client.wait(timeout=30) == 0
        return self._answered
