"""Whatever is wrong with an HTTP request, it gets one status, an error object with a field, and leaves nothing."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.integration.openai.conftest import LIMIT
from tests.support.http import CHAT, COMPLETIONS, LONG, http_client, refusal
from tests.support.stack import RunningStack
from tests.support.waiting import until

CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Who?"}]},
]
IMAGE = {"role": "user", "content": [{"type": "image_url"}]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        (COMPLETIONS, b"{", 400, "INVALID_REQUEST", "body"),
        (COMPLETIONS, b"[]", 400, "INVALID_REQUEST", "body"),
        (COMPLETIONS, b"\xff", 400, "INVALID_REQUEST", "body"),
        (COMPLETIONS, {}, 400, "INVALID_REQUEST", "prompt"),
        (COMPLETIONS, {"prompt": ""}, 400, "INVALID_REQUEST", "prompt"),
        (COMPLETIONS, {"prompt": []}, 400, "INVALID_REQUEST", "prompt"),
        (COMPLETIONS, {"prompt": ["a", "b"]}, 400, "INVALID_REQUEST", "prompt"),
        (COMPLETIONS, {"prompt": [-1]}, 400, "INVALID_REQUEST", "prompt"),
        (COMPLETIONS, {"prompt": [999]}, 400, "INVALID_REQUEST", "prompt"),
        (COMPLETIONS, {"prompt": "\ud800"}, 400, "INVALID_REQUEST", None),
        (COMPLETIONS, {"prompt": "x", "model": "gpt-5"}, 404, "MODEL_NOT_FOUND", "model"),
        (COMPLETIONS, {"prompt": "x", "n": 2}, 400, "INVALID_REQUEST", "n"),
        (COMPLETIONS, {"prompt": "x", "best_of": 3}, 400, "INVALID_REQUEST", "best_of"),
        (COMPLETIONS, {"prompt": "x", "echo": True}, 400, "INVALID_REQUEST", "echo"),
        (COMPLETIONS, {"prompt": "x", "max_tokens": 0}, 400, "INVALID_REQUEST", "max_tokens"),
        (COMPLETIONS, {"prompt": "x", "max_tokens": "5"}, 400, "INVALID_REQUEST", "max_tokens"),
        (COMPLETIONS, {"prompt": "x", "max_tokens": 99_999}, 400, "INVALID_REQUEST", "max_tokens"),
        (COMPLETIONS, {"prompt": "x", "temperature": 3}, 400, "INVALID_REQUEST", "temperature"),
        (COMPLETIONS, {"prompt": "x", "top_p": 0}, 400, "INVALID_REQUEST", "top_p"),
        (COMPLETIONS, {"prompt": "x", "seed": -1}, 400, "INVALID_REQUEST", "seed"),
        (COMPLETIONS, {"prompt": "x", "stop": [""]}, 400, "INVALID_REQUEST", "stop"),
        (COMPLETIONS, {"prompt": "x", "tempratur": 1}, 400, "INVALID_REQUEST", "tempratur"),
        (COMPLETIONS, {"prompt": "x" * 200_000}, 400, "INVALID_REQUEST", "body"),
        (COMPLETIONS, {"prompt": "x" * 9000}, 400, "PROMPT_TOO_LONG", "prompt"),
        (COMPLETIONS, {"prompt": "x", "request_id": "a b"}, 400, "INVALID_REQUEST", "request_id"),
        (CHAT, {"messages": []}, 400, "INVALID_REQUEST", "messages"),
        (CHAT, {"messages": [{"content": "x"}]}, 400, "INVALID_REQUEST", "messages"),
        (CHAT, {"messages": [IMAGE]}, 400, "INVALID_REQUEST", "messages"),
        (CHAT, {"messages": CONVERSATION, "tools": [{"type": "function"}]}, 400, "INVALID_REQUEST", "tools"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_request_is_refused_by_name(
    client: httpx2.AsyncClient, path: str, body: Any, status: int, code: str, param: str | None, stream: bool
) -> None:
    if stream and not isinstance(body, bytes):
        body = {**body, "stream": True}
    found = await refusal(client, path, json.dumps(body).encode() if isinstance(body, dict) else body)
    assert (found[0], found[1]["code"]) == (status, code)
    assert param is None or found[1]["param"] == param


async def test_nothing_is_left_of_what_was_refused(stack: RunningStack) -> None:
    await stack.assert_nothing_is_left()


async def test_routes_that_are_not_there(client: httpx2.AsyncClient) -> None:
    assert (await refusal(client, "/v1/embeddings", {}))[0] == 404
    wrong = await client.get(COMPLETIONS)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "INVALID_REQUEST")


@pytest.mark.parametrize("timeout", ["soon", "0", "-1", "nan", "inf"])
async def test_a_timeout_that_is_none_is_refused(client: httpx2.AsyncClient, timeout: str) -> None:
    status, error = await refusal(client, COMPLETIONS, {"prompt": "x"}, headers={"X-Request-Timeout": timeout})
    assert (status, error["param"]) == (400, "x-request-timeout")


async def test_a_second_request_of_one_id_is_refused(client: httpx2.AsyncClient) -> None:
    headers = {"X-Request-Id": "twice"}
    async with client.stream("POST", COMPLETIONS, json={**LONG, "stream": True}, headers=headers) as first:
        assert first.headers["x-request-id"] == "twice"
        status, error = await refusal(client, COMPLETIONS, {"prompt": "x"}, headers=headers)
    assert (status, error["code"]) == (409, "DUPLICATE_REQUEST")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        ({"prompt": "x", "model": "gpt-5"}, {}, 404),
        (LONG, {"X-Request-Timeout": "0.1"}, 504),
        ({"prompt": "x"}, {"X-Bomb": "b" * 9000}, 431),
    ],
)
async def test_a_refusal_names_its_request(
    client: httpx2.AsyncClient, body: Any, headers: dict[str, str], status: int
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = await client.post(COMPLETIONS, content=content, headers={**headers, "X-Request-Id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine")
    drawn = [(await client.post(COMPLETIONS, content=content, headers=headers)).headers["x-request-id"] for _ in "ab"]
    assert drawn[0] != drawn[1]


async def test_the_bodys_id_is_the_requests(client: httpx2.AsyncClient) -> None:
    body = {"prompt": "x", "request_id": "of-the-body", "model": "gpt-5"}
    answer = await client.post(COMPLETIONS, json=body, headers={"X-Request-Id": "of-the-header"})
    assert answer.headers["x-request-id"] == "of-the-body"
    for wrong in ("a b", "é\r\nx: y"):
        answer = await client.post(COMPLETIONS, json={**body, "request_id": wrong})
        assert (answer.status_code, answer.headers.get("x-request-id")) == (400, None)


async def test_more_than_the_limit_is_refused_at_once_and_told_when_to_come_back(
    stack: RunningStack, client: httpx2.AsyncClient
) -> None:
    await stack.assert_nothing_is_left()
    calls = [asyncio.create_task(client.post(COMPLETIONS, json=LONG)) for _ in range(LIMIT + 10)]
    await until(lambda: sum(call.done() for call in calls) == 10)
    refused = [call.result() for call in calls if call.done()]
    assert {answer.status_code for answer in refused} == {429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert len({answer.headers["x-request-id"] for answer in refused}) == 10
    async with http_client(stack.http_url) as other:
        assert (await other.get("/health")).status_code == 200
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await stack.assert_nothing_is_left()
