"""A tiny real inference server for tests: answers after set delays, or refuses as the router would."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from splitwiser.errors import Overloaded
from splitwiser.rpc import status
from splitwiser.v1 import inference_pb2, inference_pb2_grpc, sampling_pb2


class TinyInference(inference_pb2_grpc.InferenceServiceServicer):
    """Waits first_s, then sends max_tokens tokens gap_s apart. Refuses the first refusals, and priority 1.

    Nothing is sent while a test has go_on cleared. events takes "started" and "cancelled" of every call.
    """

    def __init__(self, first_s: float = 0.0, gap_s: float = 0.0, refusals: int = 0) -> None:
        self.first_s = first_s
        self.gap_s = gap_s
        self.refusals = refusals
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.events: asyncio.Queue[str] = asyncio.Queue()

    async def Generate(  # noqa: N802
        self, request: inference_pb2.GenerateRequest, context: "grpc.aio.ServicerContext[object, object]"
    ) -> AsyncIterator[inference_pb2.GenerateResponse]:
        self.refusals -= 1
        if request.priority == 1 or self.refusals >= 0:
            await status.abort(context, Overloaded("the queue is full", help="wait", retry_after_s=0.1))
        self.events.put_nowait("started")
        try:
            await asyncio.sleep(self.first_s)
            await self.go_on.wait()
            for index in range(request.stop.max_tokens):
                await asyncio.sleep(self.gap_s if index else 0)
                yield inference_pb2.GenerateResponse(token_ids=[index], text="x")
            yield inference_pb2.GenerateResponse(finish=self._finish(request))
        except asyncio.CancelledError:
            self.events.put_nowait("cancelled")
            raise

    async def GetModel(  # noqa: N802
        self, request: inference_pb2.GetModelRequest, context: "grpc.aio.ServicerContext[object, object]"
    ) -> inference_pb2.GetModelResponse:
        return inference_pb2.GetModelResponse(model="tiny", max_tokens=200, vocab_size=50, eos_token_ids=[0])

    def _finish(self, request: inference_pb2.GenerateRequest) -> inference_pb2.Finish:
        return inference_pb2.Finish(
            reason=sampling_pb2.FINISH_REASON_LENGTH,
            usage=inference_pb2.Usage(prompt_tokens=len(request.token_ids.ids)),
            timings=inference_pb2.Timings(queue_ms=1.5, grant_to_first_step_ms=2.5),
        )


@asynccontextmanager
async def serving(servicer: TinyInference, folder: Path) -> AsyncIterator[str]:
    """The server's address while the block runs."""
    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server)
    address = f"unix:{folder}/tiny.sock"
    server.add_insecure_port(address)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)
