"""Owns one HTTP exchange: bounded headers and body in, an answer or an error out, no work for who has left."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from starlette.datastructures import Headers

from splitwiser.errors import InvalidRequest, SplitwiserError
from splitwiser.openai.errors import error_body, error_headers, http_status
from splitwiser.routing.intake import REQUEST_ID, new_request_id
from splitwiser.routing.tasks import cancel_and_wait

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
BODY_TIMEOUT_S = 30.0
"""A body comes in this time, or its caller is not worth the wait."""
REQUEST_ID_HEADER = "x-request-id"
CALLER_LEFT = 499
"""nginx's status for it: nobody sees it but the metrics."""


class CallerLeft(Exception):
    """The connection is gone, and with it everybody who could read an answer."""


def bounded(app: Application, max_header_bytes: int) -> Application:
    """The application, which sees no headers that are longer."""

    async def bounded_app(scope: Scope, receive: Receive, send: Send) -> None:
        size_bytes = sum(len(name) + len(value) for name, value in scope["headers"])
        if size_bytes > max_header_bytes:
            cause = f"take {size_bytes} bytes, {max_header_bytes} is the most"
            wrong = InvalidRequest(cause, field="headers", help="send less, or raise router.max_metadata_bytes")
            await Reply(scope, send).whole(error_body(wrong), status=431)
        else:
            await app(scope, receive, send)

    return bounded_app


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """The request's body. Raises InvalidRequest for one that is too long or too slow, and CallerLeft."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > max_bytes:
                    cause = f"has more than {max_bytes} bytes"
                    raise InvalidRequest(cause, field="body", help="send less, or raise router.http_max_body_bytes")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise InvalidRequest(f"took over {BODY_TIMEOUT_S:g} s", field="body", help="send it at once") from None
    raise CallerLeft


async def while_connected(receive: Receive, work: Awaitable[None]) -> None:
    """Do the work, but end it when the caller leaves: then CallerLeft. The body has been read before."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerLeft
        working.result()
    finally:
        await cancel_and_wait(working)
        await cancel_and_wait(leaving)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Reply:
    """The answer's way out. status 0: nothing has been sent.

    request_id: the caller's, or else a new one. Every answer has it as a header, unless it cannot be an id.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self.request_id = Headers(scope=scope).get(REQUEST_ID_HEADER) or new_request_id()
        self.status = 0

    async def whole(self, body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with one JSON body."""
        content = _json(body)
        sized = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
        await self._start(status, sized)
        await self._send({"type": "http.response.body", "body": content})

    async def begin_events(self) -> None:
        """Begin a stream of server-sent events."""
        await self._start(200, {"content-type": "text/event-stream", "cache-control": "no-cache"})

    async def event(self, data: Any) -> None:
        """Send one event of JSON."""
        await self._send({"type": "http.response.body", "body": b"data: " + _json(data) + b"\n\n", "more_body": True})

    async def end_events(self) -> None:
        """End the stream as OpenAI does."""
        await self._send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    async def fail(self, error: SplitwiserError) -> None:
        """Answer with the error. A stream that has begun ends with it as an event, without [DONE].

        Whoever called the application then closes the connection in the midst of the body, so that no client takes
        what came for all of it.
        """
        if self.status:
            await self.event(error_body(error))
        else:
            await self.whole(error_body(error), status=http_status(error), headers=error_headers(error))

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        if REQUEST_ID.fullmatch(self.request_id):
            headers = {**headers, REQUEST_ID_HEADER: self.request_id}
        lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
