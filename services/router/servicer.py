"""Owns InferenceService: what a client asks for is checked, accounted for, and handed to the pipeline."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import Span

from splitwiser.routing.answer import Answer
from splitwiser.routing.generation import Generation
from splitwiser.routing.intake import Intake
from splitwiser.routing.journey import Journey
from splitwiser.routing.leases import RequestLeases
from splitwiser.routing.pipeline import Pipeline
from splitwiser.routing.request import RoutedRequest
from splitwiser.rpc.deadline import Deadline
from splitwiser.rpc.propagation import incoming_context
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.tracing import Tracing, outcome_of
from splitwiser.text.model_info import ModelInfo
from splitwiser.text.tokenizer import Tokenizer
from splitwiser.v1 import inference_pb2, inference_pb2_grpc

LONG_TEXT_CHARS = 8192
"""Tokenizing more than this takes milliseconds, so it leaves the event loop."""


@dataclass(slots=True)
class Account:
    """What is counted of a request at its end."""

    outcome: str = ""
    prompt_tokens: int = 0


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """The public door."""

    def __init__(
        self,
        model: ModelInfo,
        tokenizer: Tokenizer,
        intake: Intake,
        pipeline: Pipeline,
        leases: RequestLeases,
        tracing: Tracing,
        metrics: RouterMetrics,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._intake = intake
        self._pipeline = pipeline
        self._leases = leases
        self._tracing = tracing
        self._metrics = metrics

    async def Generate(self, proto: inference_pb2.GenerateRequest, context: Any) -> None:  # noqa: N802
        """Stream one request's tokens."""
        arrived_s = time.perf_counter()
        parent = incoming_context(context)
        with self._tracing.span(names.REQUEST, parent=parent) as span, self._accounted(span, arrived_s) as account:
            request_id = self._intake.request_id(proto)
            span.set_attribute(names.REQUEST_ID, request_id)
            async with self._leases.hold(request_id):
                journey = Journey(await self._admit(request_id, proto), Deadline.of(context))
                journey.times.tokenize_ms = (time.perf_counter() - arrived_s) * 1e3
                account.prompt_tokens = len(journey.request.prompt_ids)
                span.set_attributes(_attributes(journey.request, self._model.name))
                answer = Answer(journey.request, self._tokenizer.detokenizer(journey.request.prompt_ids))
                generation = Generation(journey, answer, self._pipeline, self._tracing, self._metrics, arrived_s)
                reason = await generation.run(context.write, echo_timings=proto.include_timings)
                account.outcome = reason.value
                self._tracing.record_content(span, proto.text, answer.text)
                span.set_attributes(
                    {
                        names.FINISH_REASONS: (reason.value,),
                        names.OUTPUT_TOKENS: answer.tokens,
                        names.TTFT_S: journey.times.ttft_ms / 1e3,
                    }
                )

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

    async def _admit(self, request_id: str, proto: inference_pb2.GenerateRequest) -> RoutedRequest:
        with self._tracing.span(names.TOKENIZE, attributes={names.REQUEST_ID: request_id}):
            if len(proto.text) > LONG_TEXT_CHARS:
                return await asyncio.to_thread(self._intake.admit, request_id, proto)
            return self._intake.admit(request_id, proto)

    @contextmanager
    def _accounted(self, span: Span, arrived_s: float) -> Iterator[Account]:
        """Count the request once, with the outcome that it had, whichever way the block is left."""
        account = Account()
        try:
            yield account
        except BaseException as error:
            account.outcome = outcome_of(error)
            raise
        finally:
            span.set_attribute(names.OUTCOME, account.outcome)
            self._metrics.finished(account.outcome, time.perf_counter() - arrived_s, account.prompt_tokens)


def _attributes(request: RoutedRequest, model: str) -> dict[str, Any]:
    return {
        names.OPERATION: "text_completion",
        names.PROVIDER: "splitwiser",
        names.MODEL: model,
        names.INPUT_TOKENS: len(request.prompt_ids),
        names.MAX_TOKENS: request.stop.max_tokens,
        names.TEMPERATURE: request.sampling.temperature,
        names.TOP_P: request.sampling.top_p,
        names.PRIORITY: request.priority,
    }
