"""The HTTP door over real processes: OpenAI's forms around the tokens that gRPC has too."""

import asyncio
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from splitwiser.engine.base import Sampling
from splitwiser.engine.sim.reference import expected_tokens
from splitwiser.stack.card import read_card
from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.text.tokenizer import ByteTokenizer
from tests.support.http import CHAT, COMPLETIONS, events
from tests.support.stack import RunningStack

CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Who?"}]},
]
RENDERED = "system: Be brief.\nuser: Who?\nassistant:"


def greedy_text(prompt: str, count: int) -> str:
    return ByteTokenizer().decode(expected_tokens(list(prompt.encode()), count, Sampling(0, 1, 0, 0)))


async def test_a_completion_in_one_piece(client: httpx2.AsyncClient) -> None:
    body = {"model": "sim", "prompt": "Hello, HTTP", "max_tokens": 40, "temperature": 0, "n": 1, "user": "u"}
    answer = (await client.post(COMPLETIONS, json=body)).json()
    assert answer["choices"] == [
        {"index": 0, "text": greedy_text("Hello, HTTP", 40), "logprobs": None, "finish_reason": "length"}
    ]
    assert answer["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 40,
        "total_tokens": 51,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert (answer["object"], answer["model"], answer["id"][:5]) == ("text_completion", "sim", "cmpl-")


async def test_a_streamed_completion_says_the_same(client: httpx2.AsyncClient) -> None:
    options = {"include_usage": True}
    body = {"prompt": "Hello, HTTP", "max_tokens": 40, "temperature": 0, "stream_options": options}
    *chunks, last = await events(client, COMPLETIONS, body)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == greedy_text("Hello, HTTP", 40)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 40)
    assert len({chunk["id"] for chunk in [*chunks, last]}) == 1


async def test_counts_come_with_every_chunk_when_asked_for(client: httpx2.AsyncClient) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = await events(client, COMPLETIONS, {"prompt": "abc", "max_tokens": 5, "stream_options": options})
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, 5)
    assert {chunk["usage"]["prompt_tokens"] for chunk in chunks} == {3}


async def test_without_options_no_chunk_counts(client: httpx2.AsyncClient) -> None:
    chunks = await events(client, COMPLETIONS, {"prompt": "abc", "max_tokens": 5})
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("prompt", [list(b"token ids"), [list(b"token ids")], ["token ids"], "token ids"])
async def test_every_form_of_one_prompt(client: httpx2.AsyncClient, prompt: Any) -> None:
    answer = await client.post(COMPLETIONS, json={"prompt": prompt, "max_tokens": 9, "temperature": 0})
    assert answer.json()["choices"][0]["text"] == greedy_text("token ids", 9)


async def test_a_chat_goes_through_the_template(client: httpx2.AsyncClient) -> None:
    body = {"messages": CONVERSATION, "max_completion_tokens": 12, "temperature": 0}
    answer = (await client.post(CHAT, json=body)).json()
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": greedy_text(RENDERED, 12), "refusal": None}
    assert (answer["object"], answer["usage"]["prompt_tokens"]) == ("chat.completion", len(RENDERED))


async def test_a_streamed_chat_names_its_speaker_once(client: httpx2.AsyncClient) -> None:
    chunks = await events(client, CHAT, {"messages": CONVERSATION, "max_tokens": 12, "temperature": 0})
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(delta["content"] for delta in deltas) == greedy_text(RENDERED, 12)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_a_stop_string_ends_the_text_before_it(client: httpx2.AsyncClient) -> None:
    text = greedy_text("stop here", 30)
    body = {"prompt": "stop here", "max_tokens": 30, "temperature": 0, "stop": text[10:13]}
    (choice,) = (await client.post(COMPLETIONS, json=body)).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == (text[: text.index(text[10:13])], "stop")
    chunks = await events(client, COMPLETIONS, {**body, "stop": [text[10:13]]})
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == choice["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_seed_draws_the_same_text(client: httpx2.AsyncClient) -> None:
    body = {"prompt": "seeded", "max_tokens": 20, "temperature": 1.0, "top_p": 0.9, "top_k": -1, "seed": 11}
    answers = await asyncio.gather(*(client.post(COMPLETIONS, json=body) for _ in range(4)))
    assert len({answer.json()["choices"][0]["text"] for answer in answers}) == 1


async def test_the_models_are_listed(client: httpx2.AsyncClient) -> None:
    (card,) = (await client.get("/v1/models")).json()["data"]
    assert (card["id"], card["object"], card["max_model_len"]) == ("sim", "model", 8192)
    assert (await client.get("/v1/models/sim")).json() == card
    missing = await client.get("/v1/models/gpt-5")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "MODEL_NOT_FOUND")


async def test_health_is_that_of_grpc(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "serving"})


async def test_the_callers_trace_goes_on(stack: RunningStack, client: httpx2.AsyncClient) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace_id}-{span_id}-01", "X-Request-Id": "traced-by-http"}
    await client.post(COMPLETIONS, json={"prompt": "traced", "max_tokens": 4}, headers=headers)
    for _ in range(100):
        spans = [record for record in read_timeline(stack.settings.run_dir) if isinstance(record, SpanRecord)]
        mine = [span for span in spans if span.attributes.get(names.REQUEST_ID) == "traced-by-http"]
        if {names.REQUEST, names.PREFILL, names.DECODE} <= {span.name for span in mine}:
            break
        await asyncio.sleep(0.1)
    assert {span.trace_id for span in mine} == {trace_id}
    assert [span.parent_id for span in mine if span.name == names.REQUEST] == [span_id]


async def test_exchanges_are_counted_by_status(stack: RunningStack, client: httpx2.AsyncClient) -> None:
    card = read_card(stack.settings.run_dir, "router")
    assert card is not None
    for body in ({"prompt": "x", "max_tokens": 1}, {}, {"prompt": "x", "model": "gpt-5"}):
        await client.post(COMPLETIONS, json=body)
    scrape = await client.get(f"http://127.0.0.1:{card.metrics_port}/metrics")
    (family,) = [f for f in text_string_to_metric_families(scrape.text) if f.name == "splitwiser_http_requests"]
    counted = {(s.labels["path"], s.labels["status"]): s.value for s in family.samples if s.name.endswith("_total")}
    assert {(COMPLETIONS, status) for status in ("200", "400", "404")} <= counted.keys()
