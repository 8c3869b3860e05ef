"""The command as a user starts it: a process of its own, with what it printed and how it ended."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from splitwiser.v1 import inference_pb2, inference_pb2_grpc, sampling_pb2

COMMAND = (sys.executable, "-c", "from splitwiser.cli.main import main; main()")


@dataclass(frozen=True)
class Ended:
    code: int
    output: str
    errors: str


Splitwiser = Callable[..., Awaitable[Ended]]


@pytest.fixture
def splitwiser(tmp_path: Path) -> Splitwiser:
    """Run `splitwiser ARGUMENTS` in an empty folder."""

    async def run(*arguments: str | bytes, **environment: str) -> Ended:
        child = await asyncio.create_subprocess_exec(
            *(*COMMAND, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "TERM": "dumb", **environment},
        )
        output, errors = await child.communicate()
        assert child.returncode is not None
        return Ended(child.returncode, output.decode(), errors.decode())

    return run


class Parrot(inference_pb2_grpc.InferenceServiceServicer):
    """Answers with the prompt's own words; keeps the requests it got."""

    def __init__(self) -> None:
        self.requests: list[inference_pb2.GenerateRequest] = []
        self.remaining_s: list[float | None] = []

    async def Generate(  # noqa: N802
        self, request: inference_pb2.GenerateRequest, context: "grpc.aio.ServicerContext[object, object]"
    ) -> AsyncIterator[inference_pb2.GenerateResponse]:
        self.requests.append(request)
        self.remaining_s.append(context.time_remaining())
        for index, word in enumerate(request.text.split()):
            yield inference_pb2.GenerateResponse(
                request_id="r-1" if index == 0 else "", text=f"{word} ", token_ids=[index]
            )
        finish = inference_pb2.Finish(reason=sampling_pb2.FINISH_REASON_STOP)
        finish.usage.prompt_tokens, finish.usage.completion_tokens = 7, 3
        if request.include_timings:
            finish.timings.ttft_ms = 12.5
        yield inference_pb2.GenerateResponse(finish=finish)


@dataclass(frozen=True)
class Router:
    address: str
    parrot: Parrot


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    """A router that is none: a real gRPC server with a made-up answer."""
    server = grpc.aio.server()
    parrot = Parrot()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(parrot, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield Router(f"127.0.0.1:{port}", parrot)
    await server.stop(None)
