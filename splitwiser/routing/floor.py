"""Owns the workers of both phases and the lines before them, and whether there is one of each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from splitwiser.config.schema import Settings
from splitwiser.routing.crew import Crew
from splitwiser.routing.discovery import Resolve, parse_target, resolve
from splitwiser.routing.places import Places
from splitwiser.routing.policy import first_come, policy_of
from splitwiser.routing.workers import DecodeWorker, PrefillWorker
from splitwiser.rpc.tls import follow_files


class Floor:
    """prefill and decode: where workers are, as parse_target reads it. Raises ConfigurationError for any it cannot."""

    def __init__(
        self, settings: Settings, prefill: Sequence[str], decode: Sequence[str], resolve: Resolve = resolve
    ) -> None:
        router, tls = settings.router, settings.tls
        self._tls = tls
        self._changed = asyncio.Event()
        self.prefill: Places[PrefillWorker] = Places(policy_of(router), router.max_queue)
        # Whoever has a grant has passed the queue's bound: nobody is turned away between the phases.
        self.decode: Places[DecodeWorker] = Places(first_come, None)
        self._prefill_crew = Crew(
            [parse_target(text, "--prefill") for text in prefill],
            self.prefill,
            lambda endpoint: PrefillWorker(endpoint, router.prefill_inflight, self._tell, tls),
            resolve_every_s=router.resolve_every_s,
            resolve=resolve,
        )
        self._decode_crew = Crew(
            [parse_target(text, "--decode") for text in decode],
            self.decode,
            lambda endpoint: DecodeWorker(endpoint, router.decode_inflight, self._tell, tls),
            resolve_every_s=router.resolve_every_s,
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
            group.create_task(follow_files(self._tls, self._renew))
            while True:
                await self._changed.wait()
                self._changed.clear()
                self.prefill.serve_line()
                self.decode.serve_line()
                await set_serving(self.prefill.any_available and self.decode.any_available)

    def _renew(self) -> None:
        """A channel keeps the certificate that it was opened with."""
        self._prefill_crew.renew()
        self._decode_crew.renew()
