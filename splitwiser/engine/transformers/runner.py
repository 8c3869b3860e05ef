"""Owns the two runners: a step's work becomes spans, logits, tokens, on the one thread that runs the model."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from splitwiser.engine.base import Sampling
from splitwiser.engine.batch import DecodeSlot, PrefillChunk, Token
from splitwiser.engine.transformers.forward import Forward
from splitwiser.engine.transformers.logprobs import with_logprobs
from splitwiser.engine.transformers.numerics import set_up_arithmetic
from splitwiser.engine.transformers.plan import Span, span_of_chunk, span_of_slot
from splitwiser.engine.transformers.sampling import sample


class ModelThread:
    """Runs one step at a time away from the event loop. threads: of torch's operations."""

    def __init__(self, forward: Forward, threads: int) -> None:
        self._forward = forward
        self._executor = ThreadPoolExecutor(1, "model", set_up_arithmetic, (threads,))

    async def tokens(self, spans: Sequence[Span], samplings: Sequence[Sampling], indices: Sequence[int]) -> list[Token]:
        """One token for each span that completes; samplings and indices are theirs."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._run, spans, samplings, indices)

    @torch.inference_mode()
    def _run(self, spans: Sequence[Span], samplings: Sequence[Sampling], indices: Sequence[int]) -> list[Token]:
        logits = self._forward(spans)
        tokens = with_logprobs(logits, sample(logits, samplings, indices), samplings)
        if logits.is_cuda:
            # Where no span completes nothing has waited for the GPU yet, and the step's pages may be given away now.
            torch.cuda.current_stream(logits.device).synchronize()
        return tokens


class ModelPrefillRunner:
    """A PrefillRunner."""

    def __init__(self, thread: ModelThread) -> None:
        self._thread = thread

    async def run(self, chunks: Sequence[PrefillChunk]) -> Sequence[Token | None]:
        """Write the chunks' KV; return the first token of each chunk that completes its prompt, else None."""
        spans = [span_of_chunk(chunk) for chunk in chunks]
        complete = [chunk for chunk in chunks if chunk.completes]
        indices = [chunk.first_index for chunk in complete]
        tokens = iter(await self._thread.tokens(spans, [chunk.sampling for chunk in complete], indices))
        return [next(tokens) if chunk.completes else None for chunk in chunks]


class ModelDecodeRunner:
    """A DecodeRunner."""

    def __init__(self, thread: ModelThread) -> None:
        self._thread = thread

    async def run(self, slots: Sequence[DecodeSlot]) -> Sequence[Token]:
        """Write each slot's KV at its position; return one new token for each slot."""
        spans = [span_of_slot(slot) for slot in slots]
        return await self._thread.tokens(spans, [slot.sampling for slot in slots], [slot.index for slot in slots])
