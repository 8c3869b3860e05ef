"""Owns what one model is asked, and the answers that are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from splitwiser.bench.verify.cases import Case, greedy_cases, seeded_cases, with_stops
from splitwiser.bench.verify.judge import Expected
from splitwiser.bench.verify.reference import unstopped_tokens
from splitwiser.text.model_info import ModelInfo

# Cases sent one by one, to see which pages each writes.
ALONE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """Two rounds of cases, and the right answers of the greedy ones by name.

    Every case is in the first round. The seeded ones come again in the second, among other neighbours.
    """

    first: Sequence[Case]
    second: Sequence[Case]
    alone: Sequence[Case]
    seeded: int
    expected: dict[str, Expected]


async def make_plan(model: str, info: ModelInfo, *, requests: int, seed: int, on_reference: Callable[[], None]) -> Plan:
    """Draw the cases and answer the greedy ones with the unsplit model; on_reference is told of each."""
    drawn = greedy_cases(requests, vocab_size=info.vocab_size, eos_token_ids=info.eos_token_ids, seed=seed)
    unstopped = await unstopped_tokens(model, drawn, on_reference)
    greedy = with_stops(drawn, unstopped, seed=seed)
    seeded = seeded_cases(drawn, max(2, requests // 5), seed=seed)
    expected = {
        case.name: Expected(*case.expected(tokens, info.eos_token_ids))
        for case, tokens in zip(greedy, unstopped, strict=True)
    }
    shuffled = Random(f"order {seed}").sample
    return Plan(
        first=shuffled([*greedy, *seeded], requests + len(seeded)),
        second=shuffled([*greedy[::2], *seeded], len(greedy[::2]) + len(seeded)),
        alone=[case for case in greedy if len(expected[case.name].tokens) > 1][:ALONE],
        seeded=len(seeded),
        expected=expected,
    )
