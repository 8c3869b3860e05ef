"""Owns the contract of a whole engine, and the choice of one by settings.engine.kind."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from splitwiser.config.schema import Settings
from splitwiser.engine.base import Sampling

StepSink = Callable[[str, int, int, int, int, int | None], None]
"""Takes each engine step: phase, start and end in ns of the wall clock, batch size, tokens, pages in use if known."""


@dataclass(frozen=True, slots=True)
class WholeJob:
    """One request. Generates exactly max_tokens tokens, each given to on_token as soon as its step is over."""

    request_id: str
    token_ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling
    on_token: Callable[[int], None]


class WholeEngine(Protocol):
    """Answers requests from the first token to the last."""

    async def run(self) -> None:
        """The engine's loop. Ends by cancellation, raises when it breaks."""

    async def generate(self, job: WholeJob) -> None:
        """Wait for a place, generate, return after the last token. Cancelling takes the request out."""


async def load(settings: Settings, on_step: StepSink) -> WholeEngine:
    """The engine of this kind. Raises StartupError."""
    module = import_module(f"splitwiser.engine.unsplit.{settings.engine.kind}")
    engine: WholeEngine = await module.load(settings, on_step)
    return engine
