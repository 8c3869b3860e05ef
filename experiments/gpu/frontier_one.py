"""One unsplit vLLM under the same load, for several chunks; called by vllm_frontier.py, prints one JSON line.

Its EngineCore is turned in this process: no other process, no detokenizer, nothing but vLLM's own step.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from experiments.gpu.frontier import CONTEXT_TOKENS, LONGEST_ANSWER, PROMPT_TOKENS, STREAMS, Intervals
from experiments.gpu.power import PowerMeter
from splitwiser.config.schema import Settings
from splitwiser.engine.vllm.environment import prepare_environment

WAITING = 4
"""Prompts that always wait."""


class One:
    """An EngineCore with streams and prompts in it."""

    def __init__(self, settings: Settings, longest_chunk: int) -> None:
        prepare_environment(settings.engine)
        from vllm import EngineArgs
        from vllm.v1.engine.core import EngineCore
        from vllm.v1.executor import Executor

        config = EngineArgs(
            model=settings.engine.model,
            skip_tokenizer_init=True,
            dtype=settings.engine.dtype,
            max_model_len=4096,
            block_size=settings.pool.page_tokens,
            num_gpu_blocks_override=settings.pool.pages,
            kv_cache_memory_bytes=1,
            enable_prefix_caching=False,
            max_num_seqs=STREAMS + 2 * WAITING,
            max_num_batched_tokens=longest_chunk,
            distributed_executor_backend="uni",
        ).create_engine_config()
        self.core: Any = EngineCore(config, Executor.get_class(config), log_stats=False)
        self.asynchronous = bool(config.scheduler_config.async_scheduling)
        self._longest_chunk = longest_chunk
        self._numbers, self._draw = count(), random.Random(0)
        self._streams: dict[str, Callable[[int], None]] = {}
        self._prompts: set[str] = set()
        self._steps: list[tuple[int, int]] = []
        self._update = self.core.scheduler.update_from_output
        self.core.scheduler.update_from_output = self._note

    def _note(self, scheduled: Any, output: Any) -> Any:
        tokens = sum(n for name, n in scheduled.num_scheduled_tokens.items() if name in self._prompts)
        self._steps.append((time.monotonic_ns(), tokens))
        return self._update(scheduled, output)

    def _add(self, tokens: int, most: int) -> str:
        from vllm import SamplingParams
        from vllm.v1.request import Request

        name = str(next(self._numbers))
        params = SamplingParams(temperature=0, max_tokens=most, ignore_eos=True, detokenize=False)
        ids = [self._draw.randrange(1, 500) for _ in range(tokens)]
        self.core.add_request(Request(name, ids, params, None, arrival_time=float(name)))
        return name

    def _turn(self) -> None:
        outputs, _ = self.core.step_fn()
        at_ns = time.monotonic_ns()
        for output in outputs[0].outputs if outputs and 0 in outputs else ():
            if output.request_id in self._streams:
                self._streams[output.request_id](at_ns)
            elif output.finished:
                self._prompts.discard(output.request_id)

    def point(self, chunk: int, settle_s: float, window_s: float) -> dict[str, Any]:
        """Prefill the streams, then keep prompts waiting for the length of the window."""
        scheduler, intervals = self.core.scheduler, Intervals()
        # With small chunks the first streams would be far ahead before the last one has its prompt.
        scheduler.max_num_scheduled_tokens = self._longest_chunk
        started = [self._add(CONTEXT_TOKENS, LONGEST_ANSWER) for _ in range(STREAMS)]
        waiting = set(started)
        self._streams = {name: lambda _, name=name: waiting.discard(name) for name in started}  # type: ignore[misc]
        while waiting:
            self._turn()
        scheduler.max_num_scheduled_tokens = chunk
        self._streams = {name: intervals.stream() for name in started}
        self._steps.clear()
        start_ns = time.monotonic_ns() + int(settle_s * 1e9)
        end_ns = start_ns + int(window_s * 1e9)
        with PowerMeter() as meter:
            while time.monotonic_ns() < end_ns:
                while len(self._prompts) < WAITING:
                    self._prompts.add(self._add(PROMPT_TOKENS, 1))
                self._turn()
        tokens = sum(n for at_ns, n in self._steps if start_ns <= at_ns < end_ns)
        self.core.abort_requests([*started, *self._prompts])
        self._streams, self._prompts = {}, set()
        while scheduler.has_requests() or self.core.batch_queue:
            self._turn()
        return {
            "chunk": chunk,
            "prefill_tokens_per_s": tokens / window_s,
            **intervals.result(start_ns, end_ns),
            **meter.result(),
        }


def main(settings_file: str, plan: str) -> None:
    settings = Settings.model_validate_json(Path(settings_file).read_text())
    points = json.loads(plan)
    one = One(settings, max(point["chunk"] for point in points))
    found = [one.point(**point) for point in points]
    print(json.dumps({"asynchronous": one.asynchronous, "points": found}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
