"""Whole vLLMs behind the same calls as a stack: what the split is compared with answers, and tells its steps."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from splitwiser.config.schema import Settings
from splitwiser.engine.unsplit.vllm import SOCKET_NAME_BYTES
from splitwiser.experiments import steps
from splitwiser.experiments.definition import Side
from splitwiser.experiments.load import Sender, equal_requests
from splitwiser.experiments.sides.target import open_side
from splitwiser.stack.card import read_card


def weights_mapped_below(pids: Iterable[int]) -> list[str]:
    """The inode of the weights' memory, once for each process that maps it: these and their children."""
    family = {str(pid) for pid in pids}
    children = [Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in family]
    family |= {child for each in children for child in each}
    maps = [Path(f"/proc/{pid}/maps").read_text().splitlines() for pid in family]
    return [next(iter(found)) for lines in maps if (found := {line.split()[4] for line in lines if "weights" in line})]


async def test_two_share_one_copy_of_the_weights(tiny_llama: str) -> None:
    settings = Settings.model_validate(
        {
            "engine": {"kind": "vllm", "model": tiny_llama},
            "pool": {"pages": 128},
            "decode": {"max_batch": 8},
            "stack": {"start_timeout_s": 300},
        }
    )
    requests = equal_requests(2, 40, 8, seed=1)
    async with open_side("two", Side(stack="unsplit", instances=2, shared_weights=True), settings) as target:
        records = await Sender(target).closed_loop(requests, in_flight=2)
        assert target.run_dir
        cards = [read_card(target.run_dir, name) for name in ("unsplit-0", "unsplit-1")]
        copies = weights_mapped_below(card.pid for card in cards if card)
    assert [(record.completed, record.output_tokens) for record in records] == [(True, 8)] * 2
    assert len(copies) == 2, "both engines map them"
    assert len(set(copies)) == 1, "and they are the same memory"


async def test_it_answers_exactly_and_tells_its_steps(tiny_llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "FLUSH_S", 3.0)
    settings = Settings.model_validate(
        {
            "engine": {"kind": "vllm", "model": tiny_llama},
            "pool": {"pages": 128},
            "prefill": {"chunk_tokens": 64},
            "decode": {"max_batch": 8},
            "stack": {"start_timeout_s": 300},
        }
    )
    async with open_side("one", Side(stack="unsplit"), settings) as target:
        records = await Sender(target).closed_loop(equal_requests(6, 100, 12, seed=1), in_flight=3)
        assert target.run_dir
        taken = await steps.steps_since(target.run_dir, 0)
        vllms_sockets = [path for path in target.run_dir.iterdir() if len(path.name) == SOCKET_NAME_BYTES]
    assert [(record.completed, record.output_tokens) for record in records] == [(True, 12)] * 6
    assert sum(step.tokens for step in taken) == 6 * (100 + 12), "a prompt's tokens are told with its last chunk"
    assert {step.phase for step in taken} <= {"prefill", "decode", "mixed"}
    assert vllms_sockets, "left in /tmp"
    assert not any(path.exists() for path in vllms_sockets)
    assert all(step.pages is not None and step.pages <= 128 for step in taken)
    assert all(step.end_ms >= step.start_ms for step in taken)
