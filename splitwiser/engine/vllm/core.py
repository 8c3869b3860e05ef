"""Owns one EngineCore of vLLM and the only thread that touches it."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from vllm.v1.engine import EngineCoreOutput
from vllm.v1.engine.core import EngineCore
from vllm.v1.request import Request

from splitwiser.engine.loop import StepTime
from splitwiser.engine.vllm.grammar import Grammars

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Admission:
    """A request of vLLM's with its pages; the KV of the first computed_tokens is in them already."""

    request: Request
    pages: tuple[int, ...]
    computed_tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of the engine brought. Keys are vLLM's request ids.

    step_tokens: what the step that ended had put in; empty when none ended. returned: requests whose pages no step uses
    any more. busy: whether the next turn has work.
    """

    time: StepTime
    step_tokens: Mapping[str, int]
    outputs: Sequence[EngineCoreOutput]
    returned: Sequence[str]
    busy: bool


class EngineThread:
    """A thread for an EngineCore: vLLM and torch keep state by thread."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vllm")

    async def run(self, work: Callable[[], T]) -> T:
        """Run work there; cancelling does not stop it."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


class Core:
    """An EngineCore whose scheduler is one of blocks.py's."""

    def __init__(self, thread: EngineThread, core: EngineCore) -> None:
        self._thread = thread
        self._core = core
        self._scheduler: Any = core.scheduler
        self._step_start: tuple[int, int] | None = None
        self.grammars = Grammars(core.vllm_config, core.structured_output_manager)

    @property
    def draws_by_position(self) -> bool:
        """Whether a token is drawn by its request's seed and its position alone, so that both phases share the seed."""
        return bool(self._core.vllm_config.use_v2_model_runner)

    async def turn(
        self, admissions: Sequence[Admission], grown: Mapping[str, Sequence[int]], aborted: Sequence[str], *, step: bool
    ) -> Turn:
        """Let requests in, give more pages to some, take some out, and do a step if there is to be one.

        An aborted request ends without an output.
        """
        return await self._thread.run(lambda: self._turn(admissions, grown, aborted, step))

    async def settle(self) -> None:
        """Wait until nothing on the device writes to a page any more."""
        await self._thread.run(_settle)

    def _turn(
        self, admissions: Sequence[Admission], grown: Mapping[str, Sequence[int]], aborted: Sequence[str], step: bool
    ) -> Turn:
        for admission in admissions:
            self._scheduler.admit(admission.request, admission.pages, admission.computed_tokens)
        for request_id, pages in grown.items():
            self._scheduler.grow(request_id, pages)
        if aborted:
            self._core.abort_requests(list(aborted))
        self._scheduler.step_tokens = {}
        # A step that is scheduled while another runs starts when that one ends.
        start_ns, started = self._step_start or (time.time_ns(), time.monotonic_ns())
        outputs = self._core.step_fn()[0] if step else None
        ended = time.monotonic_ns()
        end_ns = start_ns + ended - started
        in_flight = bool(self._core.batch_queue)
        next_start = (end_ns, ended) if self._scheduler.step_tokens else (start_ns, started)
        self._step_start = next_start if in_flight else None
        return Turn(
            StepTime(start_ns, end_ns, ended),
            self._scheduler.step_tokens,
            outputs[0].outputs if outputs else (),
            self._scheduler.take_returned(),
            self._scheduler.has_requests() or in_flight,
        )


def _settle() -> None:
    # Whatever steps vLLM has in its queue, this thread has put all their kernels into its stream.
    if torch.cuda.is_initialized():
        # A device that has failed computes no more.
        with suppress(RuntimeError):
            torch.cuda.current_stream().synchronize()
