"""Owns InferenceService: calls of gRPC become visits of the reception."""

import asyncio
from typing import Any

from splitwiser.routing.intake import Intake
from splitwiser.routing.reception import Reception, Visit
from splitwiser.rpc.deadline import Deadline
from splitwiser.rpc.propagation import incoming_context
from splitwiser.text.model_info import ModelInfo
from splitwiser.v1 import inference_pb2, inference_pb2_grpc


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """The public door for gRPC."""

    def __init__(self, model: ModelInfo, intake: Intake, reception: Reception) -> None:
        self._model = model
        self._intake = intake
        self._reception = reception

    async def Generate(self, proto: inference_pb2.GenerateRequest, context: Any) -> None:  # noqa: N802
        """Stream one request's tokens."""
        await self._reception.serve(Visit(proto, Deadline.of(context), incoming_context(context), context.write))

    async def GetModel(self, proto: inference_pb2.GetModelRequest, context: Any) -> inference_pb2.GetModelResponse:  # noqa: N802
        """Facts about the served model."""
        self._intake.check_model(proto.model)
        return inference_pb2.GetModelResponse(
            model=self._model.name,
            max_tokens=self._intake.max_tokens,
            vocab_size=self._model.vocab_size,
            eos_token_ids=sorted(self._model.eos_token_ids),
            engine=self._model.engine,
        )

    async def Tokenize(self, proto: inference_pb2.TokenizeRequest, context: Any) -> inference_pb2.TokenizeResponse:  # noqa: N802
        """Token ids as a prompt of this text would have."""
        self._intake.check_model(proto.model)
        token_ids = await asyncio.to_thread(self._intake.tokenize, proto.text, "text")
        return inference_pb2.TokenizeResponse(token_ids=token_ids)
