"""A whole split engine in one process: two loaded models over one pool, the real engines, pages that change hands."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, Self

from splitwiser.config.schema import EngineSettings, PoolSettings, Settings
from splitwiser.engine.base import DecodeJob, PrefillJob, Sampling, StopRule
from splitwiser.engine.paged import PagedDecodeEngine, PagedPrefillEngine
from splitwiser.engine.transformers.build import Loaded, load
from splitwiser.kv.pool import OwnedPages
from splitwiser.memory.devices import mapper_of
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.segment import Made, Segment

GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and how many tokens it gets."""

    prompt_ids: tuple[int, ...]
    tokens: int
    sampling: Sampling = GREEDY
    first_index: int = 0
    """Above 0 the request is resumed: prompt_ids ends with the tokens before that one."""


def random_requests(count: int, *, seed: int, longest: int, most_tokens: int) -> list[Request]:
    """Prompts of log-uniform length over the tiny models' vocabulary."""
    random = Random(seed)
    lengths = [round(longest ** random.random()) for _ in range(count)]
    return [
        Request(tuple(random.randrange(512) for _ in range(length)), random.randint(1, most_tokens))
        for length in lengths
    ]


def requests_of(lengths: Sequence[int], *, tokens: int, seed: int) -> list[Request]:
    """Random prompts of these lengths."""
    random = Random(seed)
    return [Request(tuple(random.randrange(512) for _ in range(length)), tokens) for length in lengths]


def settings_of(
    model: Path, *, pages: int = 1024, page_tokens: int = 16, device: Literal["cpu", "cuda"] = "cpu"
) -> Settings:
    """The settings that matter to the engine."""
    return Settings(
        engine=EngineSettings(kind="transformers", model=str(model), device=device),
        pool=PoolSettings(pages=pages, page_tokens=page_tokens),
    )


class Pair:
    """Prefill and decode over one pool. between: called after each prefill, before decode goes on."""

    def __init__(self, prefill: Loaded, decode: Loaded, pool: Segment, *, chunk_tokens: int, seed: int) -> None:
        self._pool = pool
        self.interface = prefill.interface
        numbers = list(range(prefill.layout.pages))
        Random(seed).shuffle(numbers)
        half = len(numbers) // 2
        self.prefill = PagedPrefillEngine(
            prefill.layout, OwnedPages(numbers[:half]), prefill.prefill_runner(),
            chunk_tokens=chunk_tokens, max_batch=8, observer=lambda *_: None,
        )  # fmt: skip
        self.decode = PagedDecodeEngine(
            decode.layout, OwnedPages(numbers[half:]), decode.decode_runner(), max_batch=8, observer=lambda *_: None
        )
        self.between: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        self._loops = [asyncio.create_task(engine.run()) for engine in (self.prefill, self.decode)]
        return self

    async def __aexit__(self, *error: object) -> None:
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def serve(self, requests: Sequence[Request]) -> list[list[int]]:
        """Every request's tokens, all of them at once."""
        return await asyncio.gather(*(self._serve(str(n), request) for n, request in enumerate(requests)))

    def wipe_pool(self) -> None:
        """Zero every page, whoever owns it."""
        self._pool.buffer[:] = bytes(self._pool.size_bytes)

    async def _serve(self, request_id: str, request: Request) -> list[int]:
        first_index = request.first_index
        prefilled = await self.prefill.prefill(
            PrefillJob(request_id, request.prompt_ids, request.sampling, first_index=first_index)
        )
        tokens = [prefilled.first_token]
        if request.tokens == first_index + 1:
            self.prefill.pages.free(prefilled.pages)
            return tokens
        self.between()
        prompt_tokens = len(request.prompt_ids)
        room = self.decode.layout.pages_for(prompt_tokens + request.tokens - first_index - 1)
        pages = await self._claim(prefilled.pages, room)
        stop = StopRule(request.tokens, frozenset())
        job = DecodeJob(
            request_id, tokens[0], prompt_tokens, pages, request.sampling, stop,
            on_token=tokens.append, first_index=first_index,
        )  # fmt: skip
        await self.decode.decode(job)
        self.decode.pages.free(pages)
        return tokens

    async def _claim(self, granted: tuple[int, ...], room: int) -> tuple[int, ...]:
        """Decode takes the granted pages over and gives as many free ones back, as the services do."""
        own = await self.decode.pages.reserve(room)
        back, growth = own[: len(granted)], own[len(granted) :]
        self.prefill.pages.hand_over(granted)
        self.decode.pages.hand_over(back)
        self.prefill.pages.receive(back)
        self.decode.pages.adopt(granted)
        return granted + growth


async def load_pair(model: Path, *, chunk_tokens: int = 200, device: Literal["cpu", "cuda"] = "cpu") -> Pair:
    """Both workers' engines, each with mappings of its own of weights and pool."""
    segments = LocalSegments(mapper_of(device))
    settings = settings_of(model, device=device)
    prefill, decode = await load(settings, segments), await load(settings, segments)
    pool = await segments.obtain("pool", never, layout=prefill.layout)
    segments.close()
    return Pair(prefill, decode, pool, chunk_tokens=chunk_tokens, seed=1)


def never() -> Made:
    """The maker of a segment that is there already."""
    raise AssertionError("made twice")
