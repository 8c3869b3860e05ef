"""Owns the random numbers of seeded requests on a CPU, where vLLM's runner V1 cannot take back a draw.

A chunk that does not end its prompt draws a token too. vLLM throws it away, and turns the request's generator back by
its offset. A generator of a CPU has none: vLLM 0.32 ends with an error there.
"""

from types import ModuleType
from typing import Any

import torch
from vllm.v1.worker import gpu_model_runner


class FreshGenerator(torch.Generator):
    """Turned back, it is as it was seeded: all draws before a prompt's last chunk were thrown away."""

    def get_offset(self) -> int:
        """Of no meaning but to be handed to set_offset."""
        return 0

    def set_offset(self, offset: int) -> torch.Generator:
        """Forget every draw."""
        return self.manual_seed(self.initial_seed())


class _Torch(ModuleType):
    """torch as the runner sees it: all of it, but for the generator."""

    Generator = FreshGenerator

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def let_draws_be_taken_back() -> None:
    """For the runner of this process."""
    gpu_model_runner.torch = _Torch("torch")
