"""Owns the contract of an engine: one Protocol for each phase, and the plain data that crosses it.

An engine computes; it never talks to the store, Redis or a peer. The services around it move pages between owners and
tell the engine's OwnedPages what moved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from splitwiser.engine.step_gate import StepGate
from splitwiser.engine.step_watch import StepWatch
from splitwiser.kv.layout import PoolLayout
from splitwiser.kv.pool import OwnedPages

Phase = Literal["prefill", "decode"]


class FinishReason(Enum):
    """Why a sequence ended."""

    STOP = "stop"
    LENGTH = "length"


MAX_LOGPROBS = 20
"""Most of the likeliest tokens whose log probabilities a request may ask for."""


@dataclass(frozen=True, slots=True)
class StructuredOutput:
    """What a completion's text must be. spec: a JSON schema, nothing, a regex, a JSON list of texts, or a grammar."""

    kind: Literal["json_schema", "json_object", "regex", "choice", "grammar"]
    spec: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. temperature 0 is greedy, top_k 0 means all. Token i of a request depends on (seed, i).

    logprobs: how many of the likeliest tokens' to tell with each token's own; None: not even that. What stands after
    the seed is not offered by every engine: engine/offers.py. bad_words: each as tokens, of which the last is not drawn
    after the others.
    """

    temperature: float
    top_p: float
    top_k: int
    seed: int
    min_p: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    structured_output: StructuredOutput | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    bad_words: tuple[tuple[int, ...], ...] = ()

    @property
    def counts_prompt(self) -> bool:
        """Whether what is drawn hangs on the prompt's tokens themselves, and not on their KV alone."""
        return self.repetition_penalty != 1


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log probabilities in one token's place, of the model's distribution as it is. top: likeliest first."""

    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a sequence ends: after max_tokens, or at a token of stop_token_ids (the model's own ends are among them)."""

    max_tokens: int
    stop_token_ids: frozenset[int]
    min_tokens: int = 0
    """The engine draws no stop token before it has as many."""

    def reason(self, token_id: int, tokens: int) -> FinishReason | None:
        """Why the sequence ends with token_id as its tokens-th token; None when it goes on."""
        if token_id in self.stop_token_ids:
            return FinishReason.STOP
        return FinishReason.LENGTH if tokens >= self.max_tokens else None


NO_END = StopRule(1, frozenset())


def _unheard() -> None:
    """Nobody asked to be told."""


@dataclass(frozen=True, slots=True)
class PrefillJob:
    """One prompt. priority: lower first.

    first_index: which token of its request it yields. Above 0 a request is resumed, and token_ids ends with the tokens
    before that one. shared: full pages that hold the KV of its first tokens, but not of all; others read them too.
    loaded: how many of these came back from the host for it.
    """

    request_id: str
    token_ids: tuple[int, ...]
    sampling: Sampling
    priority: int = 0
    first_index: int = 0
    shared: tuple[int, ...] = ()
    loaded: int = 0
    stop: StopRule = NO_END
    """What the first token may not be, or what a structured output may end with."""
    on_started: Callable[[], None] = _unheard
    """Called once the prompt has all its pages: from now on it waits for nothing but computation."""


@dataclass(frozen=True, slots=True)
class StepSpan:
    """One request's part in one engine step, on the wall clock: for spans and the timeline."""

    start_ns: int
    end_ns: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Prefilled:
    """A prompt's result. pages are still prefill's own; the job's shared ones and they hold the KV of every token."""

    first_token: int
    pages: tuple[int, ...]
    chunks: tuple[StepSpan, ...]
    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One adopted request: pages[: pages_for(prompt_tokens)] hold the prompt's KV, the rest is room to grow.

    The caller may append to pages while the job runs; before each step there is room for its token.

    on_token takes every generated token as soon as its step is over; the first one is prefill's and is not repeated.
    first_index is that one's number, 0 unless the request is resumed. stop counts the tokens before it as well, which
    are part of prompt_tokens then.
    """

    request_id: str
    first_token: int
    prompt_tokens: int
    pages: Sequence[int]
    sampling: Sampling
    stop: StopRule
    on_token: Callable[[int], None]
    priority: int = 0
    first_index: int = 0
    on_logprobs: Callable[[TokenLogprobs], None] | None = None
    """Takes a token's, just before on_token takes the token. Set when the sampling asks for them."""
    earlier_tokens: tuple[int, ...] = ()
    """The tokens before first_index; may be left out where nothing goes by them."""
    prompt_ids: tuple[int, ...] = ()
    """The prompt without those, where the sampling counts it."""


def kv_positions(prompt_tokens: int, stop: StopRule, first_index: int, room_tokens: int = 0) -> int:
    """Tokens of KV of prompt and completion together; first_index tokens of the completion are in the prompt.

    The last token is never fed back, so it needs no room. room_tokens: of the completion, to begin with; 0: all of it.
    """
    completion = stop.max_tokens - first_index - 1
    return prompt_tokens + (min(completion, room_tokens) if room_tokens else completion)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request's end. tokens counts those given to on_token. steps is empty only if no step ran."""

    finish_reason: FinishReason
    tokens: int
    first_step: StepSpan
    last_step: StepSpan
    first_step_done_monotonic_ns: int


class PrefillEngine(Protocol):
    """Turns prompts into pages and a first token. gate: no step begins while it is closed."""

    layout: PoolLayout
    pages: OwnedPages
    gate: StepGate

    @property
    def running_count(self) -> int:
        """Prompts that have pages."""

    @property
    def waiting_count(self) -> int:
        """Prompts that wait for pages or a place."""

    @property
    def steps(self) -> StepWatch:
        """How long the step in flight has been running."""

    async def run(self) -> None:
        """The engine's only loop: schedule -> run -> postprocess. Ends by cancellation, raises when it breaks."""

    async def prefill(self, job: PrefillJob) -> Prefilled:
        """Wait for pages and a place in a batch, then run the prompt; the caller owns the result's pages.

        Cancelling stops the work at the next chunk border and frees the pages.
        """


class DecodeEngine(Protocol):
    """Continues adopted requests."""

    layout: PoolLayout
    pages: OwnedPages

    @property
    def running_count(self) -> int:
        """Requests in the batch."""

    @property
    def waiting_count(self) -> int:
        """Requests with pages that wait for a place in the batch."""

    @property
    def steps(self) -> StepWatch:
        """How long the step in flight has been running."""

    async def run(self) -> None:
        """The engine's only loop, as for prefill."""

    async def decode(self, job: DecodeJob) -> Decoded:
        """Generate until the stop rule ends it. The caller frees job.pages afterwards, when no step uses them any more.

        Cancelling takes the request out of the batch; the call returns only after the step in flight is over.
        """


class StepObserver(Protocol):
    """Told of every engine step: the timeline and the metrics."""

    def __call__(self, phase: str, span: StepSpan, batch_size: int, requests: Sequence[str]) -> None: ...
