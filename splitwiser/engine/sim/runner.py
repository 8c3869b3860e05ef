"""Owns the sim engine's runners: KV records in, a hash of the KV out, and the cost of each step.

They write and read at the end of the step's time: a page that is given away too early is then caught by both its users.
"""

from collections.abc import Sequence

from splitwiser.config.schema import SimSettings
from splitwiser.engine.batch import DecodeRunner, DecodeSlot, PrefillChunk, PrefillRunner
from splitwiser.engine.sim.cost import StepCost
from splitwiser.engine.sim.model import next_token
from splitwiser.engine.sim.pages import SimPages


class SimPrefillRunner(PrefillRunner):
    """hash_seed comes from the weights."""

    def __init__(self, pages: SimPages, hash_seed: int, settings: SimSettings) -> None:
        self._pages = pages
        self._hash_seed = hash_seed
        self._settings = settings
        self._cost = StepCost()

    async def run(self, chunks: Sequence[PrefillChunk]) -> Sequence[int | None]:
        tokens = sum(chunk.tokens for chunk in chunks)
        await self._cost.pay(tokens * self._settings.prefill_us_per_token)
        return [self._run_chunk(chunk) for chunk in chunks]

    def _run_chunk(self, chunk: PrefillChunk) -> int | None:
        self._pages.write(chunk.pages, chunk.start, chunk.token_ids[chunk.start : chunk.end])
        if not chunk.completes:
            return None
        return next_token(self._pages.hash(chunk.pages, chunk.end, self._hash_seed), chunk.sampling, chunk.first_index)


class SimDecodeRunner(DecodeRunner):
    """hash_seed comes from the weights."""

    def __init__(self, pages: SimPages, hash_seed: int, settings: SimSettings) -> None:
        self._pages = pages
        self._hash_seed = hash_seed
        self._settings = settings
        self._cost = StepCost()

    async def run(self, slots: Sequence[DecodeSlot]) -> Sequence[int]:
        await self._cost.pay(self._settings.decode_step_us + len(slots) * self._settings.decode_us_per_sequence)
        return [self._run_slot(slot) for slot in slots]

    def _run_slot(self, slot: DecodeSlot) -> int:
        self._pages.write(slot.pages, slot.position, (slot.token,))
        kv_hash = self._pages.hash(slot.pages, slot.position + 1, self._hash_seed)
        return next_token(kv_hash, slot.sampling, slot.index)
