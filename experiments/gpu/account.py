"""Owns the account of a process's GPU memory: what the whole GPU has in use, and what of it torch holds here."""

import subprocess
from typing import Any

from splitwiser.mps.gpu import TIMEOUT_S, read_gpu


class Account:
    """What was in use after each stage of a start, and what it took. Other processes must not change in between."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []
        self.note("the process's imports")

    def note(self, stage: str) -> None:
        found = {"gpu_used_bytes": used_bytes(), **torch_bytes()}
        before = self.stages[-1]["gpu_used_bytes"] if self.stages else found["gpu_used_bytes"]
        self.stages.append({"after": stage, "taken_bytes": found["gpu_used_bytes"] - before, **found})


def used_bytes() -> int:
    """Of the whole GPU, by everyone."""
    gpu = read_gpu()
    return gpu.total_bytes - gpu.free_bytes


def torch_bytes() -> dict[str, int]:
    """Of this process. reserved is what torch has from the GPU; graphs: the part of it that CUDA graphs keep."""
    import torch

    if not torch.cuda.is_initialized():
        return {}
    segments = torch.cuda.memory_snapshot()
    return {
        "torch_allocated_bytes": torch.cuda.memory_allocated(),
        "torch_reserved_bytes": torch.cuda.memory_reserved(),
        "torch_peak_allocated_bytes": torch.cuda.max_memory_allocated(),
        "torch_peak_reserved_bytes": torch.cuda.max_memory_reserved(),
        "torch_graphs_bytes": sum(each["total_size"] for each in segments if any(each["segment_pool_id"])),
    }


def process_bytes() -> dict[int, int | None]:
    """By process id, as nvidia-smi tells it; None where it does not know. What two processes map counts for both."""
    command = ("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    lines = [line.split(",") for line in done.stdout.splitlines() if line.count(",") == 1]
    return {int(pid): int(mib) * 2**20 if mib.strip().isdigit() else None for pid, mib in lines}
