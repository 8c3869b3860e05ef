"""Owns the requests of a verification: lengths that meet every border, and what each must answer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from random import Random

from splitwiser.bench.prompts import random_token_ids
from splitwiser.engine.base import Sampling
from splitwiser.engine.offers import OFFERS
from splitwiser.rpc.convert import sampling_to_proto
from splitwiser.text.model_info import ModelInfo
from splitwiser.v1 import inference_pb2, sampling_pb2

GREEDY = Sampling(temperature=0, top_p=1, top_k=0, seed=0)
PENALIZED = {
    5: replace(GREEDY, presence_penalty=1.5),
    6: replace(GREEDY, frequency_penalty=0.75),
    7: replace(GREEDY, repetition_penalty=1.25),
}
"""Which of every eight greedy requests goes by the tokens before it, where the engine offers that."""
MAX_PROMPT_TOKENS = 1500
MAX_OUTPUT_TOKENS = 128
# First and last page whole, short of one token, and over by one; prompts of one chunk and of several.
BORDER_PROMPTS = (1, 2, 15, 16, 17, 31, 32, 33, 511, 512, 513, 1024, 1499, 1500)
BORDER_OUTPUTS = (128, 1, 17, 2, 16, 127)


@dataclass(frozen=True, slots=True)
class Case:
    """One request. Drawn with a seed, it must give the same tokens in any company, just as greedy ones do.

    is_turn: it goes on where another case's answer was.
    """

    name: str
    prompt_ids: tuple[int, ...]
    max_tokens: int
    ignore_eos: bool = True
    stop_token_ids: tuple[int, ...] = ()
    sampling: Sampling = GREEDY
    is_turn: bool = False

    @property
    def greedy(self) -> bool:
        return self.sampling.temperature == 0

    def request(self, attempt: str) -> inference_pb2.GenerateRequest:
        """The message; attempt tells its request id from that of the same case sent before."""
        return inference_pb2.GenerateRequest(
            request_id=f"verify-{self.name}-{attempt}",
            token_ids=inference_pb2.TokenIds(ids=self.prompt_ids),
            sampling=sampling_to_proto(self.sampling),
            stop=sampling_pb2.StopConditions(
                max_tokens=self.max_tokens, ignore_eos=self.ignore_eos, stop_token_ids=self.stop_token_ids
            ),
        )

    def expected(self, unstopped: Sequence[int], eos_token_ids: Collection[int]) -> tuple[list[int], str]:
        """Its tokens and finish reason, from the max_tokens tokens that come when nothing stops it."""
        stops = {*self.stop_token_ids, *(() if self.ignore_eos else eos_token_ids)}
        for count, token in enumerate(unstopped, 1):
            if token in stops:
                return list(unstopped[:count]), "STOP"
        return list(unstopped), "LENGTH"


def greedy_cases(count: int, model: ModelInfo, *, seed: int) -> list[Case]:
    """Greedy requests: border lengths first, then prompts log-uniform, outputs uniform, cut to the model's length."""
    random = Random(f"verify {seed}")
    cases = []
    for index in range(count):
        prompt_tokens = _nth(BORDER_PROMPTS, index) or round(MAX_PROMPT_TOKENS ** random.random())
        max_tokens = min(_nth(BORDER_OUTPUTS, index) or random.randint(1, MAX_OUTPUT_TOKENS), model.max_tokens // 2)
        prompt_ids = random_token_ids(
            min(prompt_tokens, model.max_tokens - max_tokens),
            vocab_size=model.vocab_size,
            excluded=model.eos_token_ids,
            seed=random.getrandbits(32),
        )
        penalized = PENALIZED.get(index % 8) if "sampling.repetition_penalty" in OFFERS[model.engine] else None
        sampling = penalized or GREEDY
        cases.append(Case(f"greedy-{index}", tuple(prompt_ids), max_tokens, index % 2 == 0, sampling=sampling))
    return cases


def with_stops(cases: Sequence[Case], unstopped: Sequence[Sequence[int]], *, seed: int) -> list[Case]:
    """Every third case stops at a token that its answer has: random models hardly ever end a sequence themselves."""
    random = Random(f"stops {seed}")
    return [
        replace(case, stop_token_ids=(random.choice(tokens),)) if index % 3 == 2 else case
        for index, (case, tokens) in enumerate(zip(cases, unstopped, strict=True))
    ]


def seeded_cases(greedy: Sequence[Case], count: int, *, seed: int) -> list[Case]:
    """The first count greedy requests drawn instead, each with parameters and a seed of its own."""
    random = Random(f"seeded {seed}")
    return [
        replace(
            case,
            name=f"seeded-{index}",
            sampling=Sampling(
                temperature=random.choice((0.5, 0.8, 1.0, 1.5)),
                top_p=random.choice((1.0, 0.9, 0.5)),
                top_k=random.choice((0, 5, 50)),
                seed=random.getrandbits(63),
            ),
        )
        for index, case in enumerate(greedy[:count])
    ]


def next_turns(greedy: Sequence[Case], unstopped: Sequence[Sequence[int]]) -> list[tuple[Case, list[int]]]:
    """Each greedy request again, its prompt with the first half of its answer: what follows must be the other half.

    As the next turn of a conversation, it finds KV that prefill wrote for the prompt and decode for the answer.
    """
    turns = []
    for case, tokens in zip(greedy, unstopped, strict=True):
        half = len(tokens) // 2
        turn = replace(
            case,
            name=f"turn-{case.name}",
            prompt_ids=(*case.prompt_ids, *tokens[:half]),
            max_tokens=case.max_tokens - half,
            is_turn=True,
        )
        turns.append((turn, list(tokens[half:])))
    return turns


def _nth(values: Sequence[int], index: int) -> int:
    return values[index] if index < len(values) else 0
