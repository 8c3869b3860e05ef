"""Owns the conversation with an MPS control daemon: where it listens, what it is asked, what it answered.

https://docs.nvidia.com/deploy/mps/appendix-tools-and-interface-reference.html
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from splitwiser.errors import StartupError

BINARY = "nvidia-cuda-mps-control"
PIPE_VARIABLE = "CUDA_MPS_PIPE_DIRECTORY"
LOG_VARIABLE = "CUDA_MPS_LOG_DIRECTORY"
GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"
DEFAULT_PIPE_DIR = Path("/tmp/nvidia-mps")
TIMEOUT_S = 20.0
NO_DAEMON = "Cannot find MPS control daemon"
BUSY_TRIES = 20
BUSY_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Control:
    """A control daemon by its two folders; whether it runs is another question.

    gpu_uuid: the one GPU that it serves and its clients use. A daemon numbers the GPUs that it sees from 0, so by a
    number daemon and clients would mean different ones; a UUID means the same to both. Empty: all, by their numbers.
    """

    pipe_dir: Path
    log_dir: Path
    gpu_uuid: str = ""

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], gpu_uuid: str = "") -> "Control":
        """The daemon that a CUDA process with this environment would attach to."""
        pipe_dir = Path(environ.get(PIPE_VARIABLE) or DEFAULT_PIPE_DIR)
        return cls(pipe_dir, Path(environ.get(LOG_VARIABLE) or pipe_dir), gpu_uuid)

    @property
    def variables(self) -> dict[str, str]:
        """What leads a process to this daemon, and to its GPU."""
        folders = {PIPE_VARIABLE: str(self.pipe_dir), LOG_VARIABLE: str(self.log_dir)}
        return folders | only_gpu(self.gpu_uuid)

    def is_running(self) -> bool:
        """Whether a daemon answers. Raises StartupError when one is there and hangs."""
        return self._patiently("get_server_list").returncode == 0

    def ask(self, command: str) -> str:
        """The daemon's answer, such as to "ps". Raises StartupError when none answers."""
        done = self._patiently(command)
        if done.returncode:
            raise StartupError(
                f"the MPS daemon of {self.pipe_dir} does not answer {command!r}: {_said(done)}",
                help=f"look into {self.log_dir}/control.log",
            )
        return done.stdout

    def launch(self) -> None:
        """Start a daemon of this user there; both folders exist. Raises StartupError when it does not start."""
        require_binary()
        said = self.log_dir / "launch.log"
        # To a file: a daemon keeps what it inherits, and whoever reads its pipe would wait as long as it lives.
        with said.open("wb") as output, self._hung_told():
            done = subprocess.run(
                (BINARY, "-d"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=TIMEOUT_S,
                check=False,
                env=self._environment,
            )
        if done.returncode:
            cause = said.read_text(errors="replace").strip()
            raise StartupError(f"the MPS daemon does not start: {cause}", help=f"look into {self.log_dir}")

    def quit(self, grace_s: int) -> None:
        """End the daemon and its server; clients have grace_s to leave. Raises StartupError when it hangs."""
        self._run(f"quit -t {grace_s}")

    @property
    def _environment(self) -> dict[str, str]:
        # What the caller's number means to the daemon, it would not mean to a client.
        return {name: value for name, value in os.environ.items() if name != GPUS_VARIABLE} | self.variables

    def _patiently(self, line: str) -> "subprocess.CompletedProcess[str]":
        """A daemon talks to one at a time and turns others away: two workers that start together ask together."""
        for _ in range(BUSY_TRIES):
            done = self._run(line)
            if done.returncode == 0 or NO_DAEMON in _said(done):
                return done
            time.sleep(BUSY_WAIT_S)
        return done

    def _run(self, line: str) -> "subprocess.CompletedProcess[str]":
        require_binary()
        with self._hung_told():
            return subprocess.run(
                (BINARY,),
                input=f"{line}\n",
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
                env=self._environment,
            )

    @contextmanager
    def _hung_told(self) -> Iterator[None]:
        try:
            yield
        except subprocess.TimeoutExpired:
            raise StartupError(
                f"the MPS daemon of {self.pipe_dir} hangs: no answer within {TIMEOUT_S:g} s",
                help=f"look into {self.log_dir}/control.log; kill that {BINARY} process",
            ) from None


def only_gpu(uuid: str) -> dict[str, str]:
    """Variables of a process that shall see this GPU alone, whatever its number; none for an empty UUID."""
    return {GPUS_VARIABLE: uuid} if uuid else {}


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    return (done.stdout + done.stderr).strip()


def require_binary() -> None:
    """Raise StartupError when there is no control program."""
    if shutil.which(BINARY) is None:
        raise StartupError(
            f"there is no {BINARY}, so no MPS",
            help="it comes with the NVIDIA driver (a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility); "
            "or set gpu.sharing=time-slice and accept slower steps",
            field="gpu.sharing",
        )
