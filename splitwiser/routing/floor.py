"""Owns the workers of both phases and the lines before them, and whether there is one of each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from splitwiser.config.schema import RouterSettings
from splitwiser.routing.crew import Crew
from splitwiser.routing.discovery import Resolve, parse_target, resolve
from splitwiser.routing.places import Places
from splitwiser.routing.policy import POLICIES, first_come
from splitwiser.routing.workers import DecodeWorker, PrefillWorker


class Floor:
    """prefill and decode: where workers are, as parse_target reads it. Raises ConfigurationError for any it cannot."""

    def __init__(
        self, settings: RouterSettings, prefill: Sequence[str], decode: Sequence[str], resolve: Resolve = resolve
    ) -> None:
        self._changed = asyncio.Event()
        self.prefill: Places[PrefillWorker] = Places(POLICIES[settings.policy], settings.max_queue)
        # Whoever has a grant has passed the queue's bound: nobody is turned away between the phases.
        self.decode: Places[DecodeWorker] = Places(first_come, None)
        self._prefill_crew = Crew(
            [parse_target(text, "--prefill") for text in prefill],
            self.prefill,
            lambda endpoint: PrefillWorker(endpoint, settings.prefill_inflight, self._tell),
            resolve_every_s=settings.resolve_every_s,
            resolve=resolve,
        )
        self._decode_crew = Crew(
            [parse_target(text, "--decode") for text in decode],
            self.decode,
            lambda endpoint: DecodeWorker(endpoint, settings.decode_inflight, self._tell),
            resolve_every_s=settings.resolve_every_s,
            resolve=resolve,
        )

    def _tell(self, available: bool) -> None:
        self._changed.set()
        if not available:
            self._prefill_crew.ask_now()
            self._decode_crew.ask_now()

    async def watch(self, set_serving: Callable[[bool], Awaitable[None]]) -> None:
        """Follow the workers until cancelled, and tell whether there is one of each phase."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prefill_crew.watch())
            group.create_task(self._decode_crew.watch())
            while True:
                await self._changed.wait()
                self._changed.clear()
                self.prefill.serve_line()
                self.decode.serve_line()
                await set_serving(self.prefill.any_available and self.decode.any_available)
