"""Owns a generating route: an HTTP request becomes a visit of the reception, and its messages the answer."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from splitwiser.errors import Draining, InvalidRequest, SplitwiserError
from splitwiser.openai.answers import Completion
from splitwiser.openai.exchange import CALLER_LEFT, CallerLeft, Reply, read_body, while_connected
from splitwiser.openai.logprobs import Piece
from splitwiser.openai.schema import GenerationBody
from splitwiser.routing.reception import Visit
from splitwiser.rpc.admission import Admission
from splitwiser.rpc.deadline import Deadline
from splitwiser.telemetry.tracing import context_from
from splitwiser.v1 import inference_pb2

TIMEOUT_HEADER = "x-request-timeout"
"""Seconds until the caller gives up; the request's deadline in every phase."""

Translate = Callable[[bytes], Awaitable[tuple[GenerationBody, inference_pb2.GenerateRequest]]]


class Metrics(Protocol):
    """Told of every exchange."""

    def http_answered(self, path: str, status: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Hall:
    """What the generating routes share. serve: the reception's; timeout_s: of requests that name none."""

    serve: Callable[[Visit], Awaitable[None]]
    model: str
    piece: Piece
    admission: Admission
    metrics: Metrics
    max_body_bytes: int
    timeout_s: float


class Endpoint:
    """An ASGI application for one path."""

    def __init__(self, path: str, answer: type[Completion], translate: Translate, hall: Hall) -> None:
        self._path = path
        self._answer = answer
        self._translate = translate
        self._hall = hall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange. It is counted once, whatever becomes of it."""
        reply = Reply(scope, send)
        try:
            with self._hall.admission.admit(self._path):
                await self._exchange(Headers(scope=scope), receive, reply)
        except CallerLeft:
            reply.status = CALLER_LEFT
        except SplitwiserError as error:
            await reply.fail(error)
        except asyncio.CancelledError:
            # uvicorn ends so what is left of a drain.
            await reply.fail(Draining("the router is leaving", help="try again, it will reach another one"))
        except Exception:
            logging.getLogger(__name__).exception("an HTTP request failed")
            await reply.fail(SplitwiserError("something broke", help="see the router's log"))
        finally:
            self._hall.metrics.http_answered(self._path, reply.status)

    async def _exchange(self, headers: Headers, receive: Receive, reply: Reply) -> None:
        hall, deadline = self._hall, self._deadline(headers)
        body, request = await self._translate(await read_body(receive, hall.max_body_bytes))
        request.request_id = reply.request_id = request.request_id or reply.request_id
        traceparent = headers.get("traceparent")
        writer = (_Events if body.stream else _Whole)(self._answer(hall.model, hall.piece), body, reply)
        parent = context_from(traceparent) if traceparent else None
        await while_connected(receive, hall.serve(Visit(request, deadline, parent, writer.write)))
        await writer.end()

    def _deadline(self, headers: Headers) -> Deadline:
        text = headers.get(TIMEOUT_HEADER)
        try:
            timeout_s = self._hall.timeout_s if text is None else float(text)
        except ValueError:
            timeout_s = math.nan
        if not 0 < timeout_s < math.inf:
            raise InvalidRequest(f"is {text!r}", field=TIMEOUT_HEADER, help="give seconds, as in 30 or 2.5")
        return Deadline.after(timeout_s)


class _Whole:
    """One JSON body at the end."""

    def __init__(self, answer: Completion, body: GenerationBody, reply: Reply) -> None:
        self._answer = answer
        self._reply = reply

    async def write(self, message: inference_pb2.GenerateResponse) -> None:
        self._answer.add(message)

    async def end(self) -> None:
        await self._reply.whole(self._answer.whole())


class _Events:
    """A chunk for every message with tokens; the status line goes with the first, so that errors before have theirs."""

    def __init__(self, answer: Completion, body: GenerationBody, reply: Reply) -> None:
        options = body.stream_options
        self._answer = answer
        self._reply = reply
        self._counts = bool(options and options.include_usage)
        self._counts_always = bool(self._counts and options and options.continuous_usage_stats)

    async def write(self, message: inference_pb2.GenerateResponse) -> None:
        self._answer.add(message)
        if not (message.token_ids or message.text):
            return
        if not self._reply.status:
            await self._reply.begin_events()
        chunk = self._answer.chunk(message)
        if self._counts:
            chunk["usage"] = self._answer.usage if self._counts_always else None
        await self._reply.event(chunk)

    async def end(self) -> None:
        if self._counts:
            await self._reply.event(self._answer.usage_chunk())
        await self._reply.end_events()
