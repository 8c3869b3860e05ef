"""Owns how much of the GPU a process gets: priority and cap, as the environment that it must start with."""

from dataclasses import dataclass
from pathlib import Path

from splitwiser.mps.control import PIPE_VARIABLE, Control

PRIORITY_VARIABLE = "CUDA_MPS_CLIENT_PRIORITY"
PERCENT_VARIABLE = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
PRIORITIES = {"normal": "0", "below-normal": "1"}


@dataclass(frozen=True, slots=True)
class ClientShare:
    """One process's part. priority: a key of PRIORITIES; sm_percent: most multiprocessors at a time, 100 is no cap."""

    priority: str = "normal"
    sm_percent: int = 100

    def environment(self, control: Control) -> dict[str, str]:
        """Variables of a process that is to be this client of that daemon. CUDA reads them once, at its start."""
        return {
            **control.variables,
            PRIORITY_VARIABLE: PRIORITIES[self.priority],
            PERCENT_VARIABLE: str(self.sm_percent),
        }


def without_mps(folder: Path) -> dict[str, str]:
    """Variables of a process that shall attach to no daemon, not even one at the usual place. folder is never made."""
    return {PIPE_VARIABLE: str(folder / "no-mps")}
