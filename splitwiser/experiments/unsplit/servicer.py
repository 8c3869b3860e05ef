"""Owns InferenceService over one whole engine: as thin as it can be, so that what is measured is the engine."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from splitwiser.engine.base import Sampling
from splitwiser.engine.unsplit.base import WholeEngine, WholeJob
from splitwiser.errors import InvalidRequest, PromptTooLong
from splitwiser.rpc import status
from splitwiser.text.model_info import ModelInfo
from splitwiser.v1 import inference_pb2, inference_pb2_grpc, sampling_pb2


@dataclass(slots=True)
class Stream:
    """Tokens on their way from the engine to one caller. None is the end."""

    started_s: float = field(default_factory=time.perf_counter)
    tokens: "asyncio.Queue[int | None]" = field(default_factory=asyncio.Queue)
    first_s: float = 0.0

    def put(self, token_id: int) -> None:
        self.first_s = self.first_s or time.perf_counter()
        self.tokens.put_nowait(token_id)

    def timings(self) -> inference_pb2.Timings:
        """Waiting counts as prefill: from outside a whole engine the two cannot be told apart."""
        now_s = time.perf_counter()
        return inference_pb2.Timings(
            prefill_ms=(self.first_s - self.started_s) * 1e3,
            ttft_ms=(self.first_s - self.started_s) * 1e3,
            decode_ms=(now_s - self.first_s) * 1e3,
            total_ms=(now_s - self.started_s) * 1e3,
        )


class UnsplitServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Takes token ids, greedy or seeded, and an exact number of tokens: what load runs send. No text."""

    def __init__(self, model: ModelInfo, engine: WholeEngine) -> None:
        self._model = model
        self._engine = engine

    async def Generate(self, proto: inference_pb2.GenerateRequest, context: Any) -> None:  # noqa: N802
        """Stream one request's tokens; those that are there at once go in one message."""
        stream = Stream()
        try:
            job = self._job(proto, stream)
        except InvalidRequest as error:
            await status.abort(context, error)
        working = asyncio.create_task(self._engine.generate(job))
        working.add_done_callback(lambda _: stream.tokens.put_nowait(None))
        try:
            count = await self._send(stream, context)
            await working
        finally:
            working.cancel()
        usage = inference_pb2.Usage(prompt_tokens=len(job.token_ids), completion_tokens=count)
        finish = inference_pb2.Finish(reason=sampling_pb2.FINISH_REASON_LENGTH, usage=usage, timings=stream.timings())
        await context.write(inference_pb2.GenerateResponse(finish=finish))

    async def GetModel(self, proto: inference_pb2.GetModelRequest, context: Any) -> inference_pb2.GetModelResponse:  # noqa: N802
        """Facts about the served model."""
        return inference_pb2.GetModelResponse(
            model=self._model.name,
            max_tokens=self._model.max_tokens,
            vocab_size=self._model.vocab_size,
            eos_token_ids=sorted(self._model.eos_token_ids),
            engine=self._model.engine,
        )

    async def _send(self, stream: Stream, context: Any) -> int:
        count = 0
        while (token_id := await stream.tokens.get()) is not None:
            token_ids = [token_id]
            ended = False
            while not (ended or stream.tokens.empty()):
                more = stream.tokens.get_nowait()
                ended = more is None
                token_ids += [] if more is None else [more]
            await context.write(inference_pb2.GenerateResponse(token_ids=token_ids))
            count += len(token_ids)
            if ended:
                break
        return count

    def _job(self, proto: inference_pb2.GenerateRequest, stream: Stream) -> WholeJob:
        token_ids = tuple(proto.token_ids.ids)
        if not token_ids or not proto.stop.max_tokens:
            raise InvalidRequest("token_ids and stop.max_tokens must be set", help="send both", field="token_ids")
        if len(token_ids) + proto.stop.max_tokens > self._model.max_tokens:
            cause = f"{len(token_ids)} + {proto.stop.max_tokens} tokens, the model takes {self._model.max_tokens}"
            raise PromptTooLong(cause, help="send a shorter prompt, or ask for fewer tokens", field="token_ids")
        sampling = Sampling(proto.sampling.temperature, proto.sampling.top_p or 1.0, 0, proto.sampling.seed)
        return WholeJob(proto.request_id, token_ids, proto.stop.max_tokens, sampling, stream.put)
