"""Owns a prefix measurement: the same conversations with a split stack, twice, and with one unsplit vLLM."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from splitwiser.bench.prefix.conversations import Conversation, Shape, make_conversations
from splitwiser.bench.prefix.report import PrefixReport, Probe
from splitwiser.bench.prefix.rounds import Answerer, Turn, hold
from splitwiser.bench.prefix.split import SplitStack
from splitwiser.bench.prefix.unsplit import unsplit_vllm
from splitwiser.bench.prompts import random_token_ids
from splitwiser.bench.temporary import temporary_settings
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError
from splitwiser.rpc.client import Client
from splitwiser.stack.local import LocalStack
from splitwiser.text.model_info import load_model

PROBE_TOKENS = 2


@dataclass(frozen=True, slots=True)
class PrefixOptions:
    """settings: of the stacks; concurrency: turns of a round that are under way at once."""

    settings: Settings
    shape: Shape = field(default_factory=Shape)
    concurrency: int = 8
    seed: int = 0


async def measure_prefix(options: PrefixOptions) -> PrefixReport:
    """Hold the conversations three times (without vllm: twice). Raises ConfigurationError or StartupError."""
    info, _ = load_model(options.settings)
    if options.shape.longest > info.max_tokens:
        raise ConfigurationError(
            f"conversations grow to {options.shape.longest} tokens, the model takes {info.max_tokens}",
            help="take fewer turns, or fewer tokens a turn",
            field="turns",
        )

    def conversations() -> list[Conversation]:
        vocab_size, ends = info.vocab_size, info.eos_token_ids
        return make_conversations(options.shape, vocab_size=vocab_size, excluded=ends, seed=options.seed)

    settings = options.settings
    probes: list[Probe] = []

    async def probe(stack: Answerer, held: Sequence[Conversation]) -> None:
        for number, conversation in enumerate(held):
            strange = random_token_ids(
                len(conversation.prompt_ids), vocab_size=info.vocab_size, excluded=info.eos_token_ids, seed=number
            )
            (known,) = await stack.answer([conversation.prompt_ids], PROBE_TOKENS)
            (unknown,) = await stack.answer([strange], PROBE_TOKENS)
            probes.append(Probe(len(strange), known.cached_tokens, known.ttft_ms, unknown.ttft_ms))

    return PrefixReport(
        engine=settings.engine.kind,
        model=settings.engine.model,
        pool_pages=settings.pool.pages,
        host_pages=settings.pool.host_pages,
        page_tokens=settings.pool.page_tokens,
        shape=options.shape,
        cached=await _split(options, conversations(), {"prefix_cache": True}, afterwards=probe),
        uncached=await _split(options, conversations(), {"prefix_cache": False, "host_pages": 0}),
        probes=probes,
        unsplit=await _unsplit(options, conversations()) if settings.engine.kind == "vllm" else None,
    )


async def _split(
    options: PrefixOptions,
    conversations: Sequence[Conversation],
    pool: dict[str, object],
    *,
    afterwards: Callable[[Answerer, Sequence[Conversation]], Awaitable[None]] | None = None,
) -> list[Turn]:
    changed = options.settings.pool.model_copy(update=pool)
    with temporary_settings(options.settings.model_copy(update={"pool": changed})) as settings:
        async with LocalStack(settings) as stack, Client(stack.address, stack.settings.tls) as client:
            answerer = SplitStack(client, options.concurrency)
            turns = await _hold(options, conversations, answerer)
            if afterwards:
                await afterwards(answerer, conversations)
            return turns


async def _unsplit(options: PrefixOptions, conversations: Sequence[Conversation]) -> list[Turn]:
    async with unsplit_vllm(options.settings) as vllm:
        return await _hold(options, conversations, vllm)


async def _hold(options: PrefixOptions, conversations: Sequence[Conversation], answerer: Answerer) -> list[Turn]:
    return await hold(
        conversations,
        answerer,
        turns=options.shape.turns,
        max_tokens=options.shape.answer_tokens,
        page_tokens=options.settings.pool.page_tokens,
    )
