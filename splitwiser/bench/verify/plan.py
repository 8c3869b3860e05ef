"""Owns what one model is asked, and the answers that are right."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from splitwiser.bench.verify.cases import Case, with_stops
from splitwiser.bench.verify.judge import Expected

# Cases sent one by one, to see which pages each writes.
ALONE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """Two rounds of cases, and their right answers by name.

    Every case is in the first round. The seeded ones come again in the second, among other neighbours.
    """

    first: Sequence[Case]
    second: Sequence[Case]
    alone: Sequence[Case]
    seeded: int
    expected: dict[str, Expected]


def make_plan(
    drawn: Sequence[Case], unstopped: Sequence[list[int]], *, eos_token_ids: Collection[int], seed: int
) -> Plan:
    """Cases and what the unsplit model answered become two rounds in an order of their own."""
    cases = with_stops(drawn, unstopped, seed=seed)
    expected = {
        case.name: Expected(*case.expected(tokens, eos_token_ids))
        for case, tokens in zip(cases, unstopped, strict=True)
    }
    greedy, seeded = [case for case in cases if case.greedy], [case for case in cases if not case.greedy]
    random = Random(f"order {seed}")
    return Plan(
        first=_shuffled(cases, random),
        second=_shuffled([*greedy[::2], *seeded], random),
        alone=[case for case in greedy if len(expected[case.name].tokens) > 1][:ALONE],
        seeded=len(seeded),
        expected=expected,
    )


def _shuffled(cases: Sequence[Case], random: Random) -> list[Case]:
    return random.sample(cases, len(cases))
