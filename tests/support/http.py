"""Owns how tests speak to the HTTP door."""

import json
from typing import Any

import httpx2

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
LONG = {"prompt": "endless", "max_tokens": 8000, "ignore_eos": True}


def http_client(url: str) -> httpx2.AsyncClient:
    """A client of its own connections."""
    return httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False)


async def events(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> list[Any]:
    """What comes as JSON; the stream must end with [DONE]."""
    async with client.stream("POST", path, json={"stream": True, **body}) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        lines = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def refusal(client: httpx2.AsyncClient, path: str, body: Any, **kwargs: Any) -> tuple[int, dict[str, Any]]:
    """Status and error object of an answer that must be one."""
    answer = await client.post(path, **({"content": body} if isinstance(body, bytes) else {"json": body}), **kwargs)
    error = answer.json()["error"]
    assert "\nhelp: " in error["message"]
    return answer.status_code, error
