"""`splitwiser generate` sends what was asked for, prints the text as it comes, and nothing else on stdout."""

import json
import os
from pathlib import Path

import pytest

from splitwiser.stack.card import Card, write_card
from tests.unit.cli.conftest import Router, Splitwiser


async def test_the_text_is_printed(splitwiser: Splitwiser, router: Router) -> None:
    ended = await splitwiser("generate", "one two", "--address", router.address)
    assert (ended.code, ended.output, ended.errors) == (0, "one two \n", "")


async def test_json_is_one_object_on_the_last_line(splitwiser: Splitwiser, router: Router) -> None:
    ended = await splitwiser("generate", "one two", "--address", router.address, "--json")
    assert json.loads(ended.output.splitlines()[-1]) == {
        "request_id": "r-1",
        "text": "one two ",
        "token_ids": [0, 1],
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        "timings": pytest.approx({**dict.fromkeys(TIMINGS, 0.0), "ttft_ms": 12.5}),
    }


TIMINGS = (
    *("tokenize_ms", "queue_ms", "prefill_queue_ms", "prefill_ms", "ttft_ms", "grant_ms"),
    *("decode_queue_ms", "claim_ms", "grant_to_first_step_ms", "decode_ms", "total_ms"),
)


async def test_timings_go_beside_the_text(splitwiser: Splitwiser, router: Router) -> None:
    ended = await splitwiser("generate", "one", "--address", router.address, "--timings")
    assert ended.output == "one \n"
    assert "request r-1: 7 + 3 tokens" in ended.errors
    assert "12.50 ms" in ended.errors


async def test_every_option_reaches_the_request(splitwiser: Splitwiser, router: Router) -> None:
    await splitwiser(
        *(
            "generate",
            "hello",
            "--address",
            router.address,
            "--max-tokens",
            "5",
            "--temperature",
            "0",
            "--top-p",
            "0.5",
        ),
        *("--top-k", "3", "--seed", "9", "--stop", "END", "--stop", "\n", "--ignore-eos", "--priority", "-2"),
        *("--request-id", "mine", "--deadline", "30"),
        *("--presence-penalty", "0.5", "--frequency-penalty", "-0.5", "--repetition-penalty", "1.5"),
        *("--bad-word", "a", "--bad-word", "b c"),
    )
    (request,) = router.parrot.requests
    assert (request.text, request.request_id, request.priority) == ("hello", "mine", -2)
    assert request.sampling.HasField("temperature")
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (0, 0.5, 3)
    assert request.sampling.seed == 9
    assert (request.sampling.presence_penalty, request.sampling.frequency_penalty) == (0.5, -0.5)
    assert (request.sampling.repetition_penalty, list(request.sampling.bad_words)) == (1.5, ["a", "b c"])
    assert (request.stop.max_tokens, list(request.stop.stop), request.stop.ignore_eos) == (5, ["END", "\n"], True)
    (remaining_s,) = router.parrot.remaining_s
    assert remaining_s is not None
    # By the wall clock, which is set now and then.
    assert 20 < remaining_s < 40


async def test_what_is_not_given_is_left_to_the_router(splitwiser: Splitwiser, router: Router) -> None:
    await splitwiser("generate", "hello", "--address", router.address)
    (request,) = router.parrot.requests
    assert not request.sampling.HasField("temperature")
    assert not request.sampling.HasField("seed")
    assert not request.sampling.HasField("repetition_penalty")
    assert not request.stop.HasField("max_tokens")


async def test_the_router_of_the_run_folder_is_found(splitwiser: Splitwiser, router: Router, tmp_path: Path) -> None:
    write_card(tmp_path / "runs" / "local", Card("router", "router", os.getpid(), router.address))
    assert (await splitwiser("generate", "found")).output == "found \n"


async def test_a_router_that_is_not_there(splitwiser: Splitwiser) -> None:
    ended = await splitwiser("generate", "x", "--address", "127.0.0.1:1")
    assert ended.code == 1
    assert ended.errors.startswith("error: no router answers at 127.0.0.1:1\nhelp: start a stack with `splitwiser up`")


async def test_a_prompt_that_is_no_text(splitwiser: Splitwiser, router: Router) -> None:
    ended = await splitwiser("generate", b"\xff\xfe", "--address", router.address)
    assert ended.code == 1
    assert ended.errors == "error: prompt: not UTF-8\nhelp: give the text in UTF-8\n"
