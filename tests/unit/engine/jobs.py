"""Jobs and layouts for the engines' tests."""

from collections.abc import Callable

from splitwiser.engine.base import DecodeJob, PrefillJob, Sampling, StopRule
from splitwiser.engine.loop import StepTime
from splitwiser.engine.sim.pages import sim_layout
from splitwiser.kv.layout import PoolLayout

GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, seed=0)
PAGE_TOKENS = 4
STEP = StepTime(start_ns=1, end_ns=2, end_monotonic_ns=3)


def small_layout(pages: int) -> PoolLayout:
    return sim_layout(pages, PAGE_TOKENS)


def prefill_job(request_id: str, tokens: int, priority: int = 0) -> PrefillJob:
    return PrefillJob(request_id, tuple(range(tokens)), GREEDY, priority)


def decode_job(
    request_id: str,
    *,
    prompt_tokens: int = 1,
    max_tokens: int = 3,
    stop_token_ids: frozenset[int] = frozenset(),
    pages: tuple[int, ...] = tuple(range(8)),
    on_token: Callable[[int], None] = lambda token: None,
    priority: int = 0,
) -> DecodeJob:
    stop = StopRule(max_tokens, stop_token_ids)
    return DecodeJob(request_id, 7, prompt_tokens, pages, GREEDY, stop, on_token, priority)
