"""Owns the HTTP door: OpenAI's routes in front of the same reception as gRPC's."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.router.desk import Desk
from splitwiser.config.schema import RouterSettings
from splitwiser.errors import InvalidRequest, SplitwiserError
from splitwiser.openai.answers import Chat, Completion
from splitwiser.openai.endpoint import Endpoint, Hall
from splitwiser.openai.errors import error_body, http_status
from splitwiser.openai.requests import chat_request, completion_request
from splitwiser.openai.schema import ChatBody, CompletionBody, parse
from splitwiser.routing.reception import LONG_TEXT_CHARS
from splitwiser.rpc.admission import Admission
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.text.chat_template import ChatTemplate
from splitwiser.v1 import inference_pb2

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"


class HttpDoor:
    """The routes. is_serving: what gRPC's health says."""

    def __init__(
        self,
        settings: RouterSettings,
        desk: Desk,
        template: ChatTemplate | None,
        metrics: RouterMetrics,
        is_serving: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._template = template
        self._is_serving = is_serving
        self._created = int(time.time())
        admission = Admission(dict.fromkeys((COMPLETIONS, CHAT), settings.http_max_requests))
        self._hall = Hall(
            desk.reception.serve,
            desk.model.name,
            desk.tokenizer.piece,
            admission,
            metrics,
            settings.http_max_body_bytes,
            settings.http_timeout_s,
        )

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route(COMPLETIONS, Endpoint(COMPLETIONS, Completion, self._completion, self._hall), methods=["POST"]),
            Route(CHAT, Endpoint(CHAT, Chat, self._chat, self._hall), methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._one_model),
            Route("/health", self._health),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_route, SplitwiserError: _failed})

    async def _completion(self, content: bytes) -> tuple[CompletionBody, inference_pb2.GenerateRequest]:
        body = parse(CompletionBody, content)
        return body, completion_request(body)

    async def _chat(self, content: bytes) -> tuple[ChatBody, inference_pb2.GenerateRequest]:
        def read() -> tuple[ChatBody, inference_pb2.GenerateRequest]:
            body = parse(ChatBody, content)
            return body, chat_request(body, self._template)

        # A long conversation takes its time in the template.
        return await asyncio.to_thread(read) if len(content) > LONG_TEXT_CHARS else read()

    async def _models(self, _: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def _one_model(self, request: Request) -> JSONResponse:
        self._desk.intake.check_model(request.path_params["name"])
        return JSONResponse(self._card())

    async def _health(self, _: Request) -> JSONResponse:
        serving = self._is_serving()
        return JSONResponse({"status": "serving" if serving else "not serving"}, 200 if serving else 503)

    def _card(self) -> dict[str, Any]:
        return {
            "id": self._desk.model.name,
            "object": "model",
            "created": self._created,
            "owned_by": "splitwiser",
            "max_model_len": self._desk.intake.max_tokens,
        }


async def _no_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    cause = f"{request.method} {request.url.path[:200]}: {error.detail}"
    wrong = InvalidRequest(cause, help="docs/openai.md lists the routes")
    return JSONResponse(error_body(wrong), error.status_code, dict(error.headers or {}))


async def _failed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SplitwiserError)
    return JSONResponse(error_body(error), http_status(error))
