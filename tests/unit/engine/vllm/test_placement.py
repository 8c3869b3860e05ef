"""Where parameters lie: each once, none over another, and on the host those whose reading costs the bus least."""

from itertools import pairwise

import pytest
import torch

from splitwiser.engine.vllm.placement import ON_HOST, WEIGHTS, Entries, place, view

TABLE, NORM, FIRST, SECOND, HEAD = "table.weight", "norm.weight", "first.weight", "second.weight", "head.weight"
ROW_BYTES = 4 * 16
SIZES = {TABLE: 64 * ROW_BYTES, NORM: ROW_BYTES, FIRST: 16 * ROW_BYTES, SECOND: 32 * ROW_BYTES, HEAD: 64 * ROW_BYTES}


def parameters(*, tied: bool = False) -> dict[str, torch.nn.Parameter]:
    made = {name: torch.nn.Parameter(torch.randn(SIZES[name] // ROW_BYTES, 16)) for name in SIZES}
    made[NORM] = torch.nn.Parameter(torch.randn(16))
    return made | {HEAD: made[TABLE]} if tied else made


def on_host(entries: Entries) -> set[str]:
    return {name for name, entry in entries.items() if entry["segment"] == ON_HOST}


def test_without_a_limit_nothing_is_on_the_host() -> None:
    entries, sizes = place(parameters())
    assert on_host(entries) == set()
    assert sizes == {WEIGHTS: sum(SIZES.values()) + 256 - ROW_BYTES, ON_HOST: 0}


@pytest.mark.parametrize(
    ("host_bytes", "expected"),
    [
        (1, {TABLE}),
        (SIZES[TABLE], {TABLE}),
        (SIZES[TABLE] + 1, {TABLE, FIRST}),
        (SIZES[TABLE] + SIZES[FIRST] + 1, {TABLE, FIRST, SECOND}),
        (sum(SIZES.values()) - SIZES[NORM], {TABLE, FIRST, SECOND, HEAD}),
        (sum(SIZES.values()), set(SIZES)),
        (10**9, set(SIZES)),
    ],
)
def test_at_least_so_much_is_on_the_host_in_the_models_order_but_for_vectors(
    host_bytes: int, expected: set[str]
) -> None:
    entries, sizes = place(parameters(), host_bytes)
    assert on_host(entries) == expected
    assert sizes[ON_HOST] >= min(host_bytes, sum(SIZES.values()))
    assert sizes[WEIGHTS] > 0, "memory of no size cannot be mapped"


def test_tied_parameters_stay_together_and_count_once() -> None:
    entries, sizes = place(parameters(tied=True), SIZES[TABLE] + 1)
    assert on_host(entries) == {TABLE, HEAD, FIRST}
    assert entries[TABLE] == entries[HEAD]
    assert sizes[ON_HOST] == SIZES[TABLE] + SIZES[FIRST]


@pytest.mark.parametrize("host_bytes", [0, 1, 5000, 10**9])
def test_no_parameter_lies_over_another(host_bytes: int) -> None:
    all_of_them = parameters()
    entries, sizes = place(all_of_them, host_bytes)
    contents = {name: torch.zeros(size, dtype=torch.uint8) for name, size in sizes.items()}
    for name, parameter in all_of_them.items():
        view(contents, entries[name]).copy_(parameter.data)
    for name, parameter in all_of_them.items():
        assert torch.equal(view(contents, entries[name]), parameter.data)
    for segment in sizes:
        offsets = sorted(entry["offset"] for entry in entries.values() if entry["segment"] == segment)
        assert all(later - earlier >= 256 and later % 256 == 0 for earlier, later in pairwise(offsets))
