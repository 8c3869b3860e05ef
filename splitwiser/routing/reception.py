"""Owns one request's life in the router, by whichever door it came: its id, its check, its tokens, its account."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span

from splitwiser.routing.answer import Answer
from splitwiser.routing.generation import Generation, Write
from splitwiser.routing.intake import Intake
from splitwiser.routing.journey import Journey
from splitwiser.routing.leases import RequestLeases
from splitwiser.routing.pipeline import Pipeline
from splitwiser.routing.request import RoutedRequest
from splitwiser.rpc.deadline import Deadline
from splitwiser.telemetry import names
from splitwiser.telemetry.metrics.router import RouterMetrics
from splitwiser.telemetry.tracing import Tracing, outcome_of
from splitwiser.text.model_info import ModelInfo
from splitwiser.text.tokenizer import Tokenizer
from splitwiser.v1 import inference_pb2

LONG_TEXT_CHARS = 8192
"""Tokenizing more than this takes milliseconds, so it leaves the event loop."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One call of a door. parent: the caller's span; write takes each message; times count from arrived_s."""

    request: inference_pb2.GenerateRequest
    deadline: Deadline
    parent: Context | None
    write: Write
    arrived_s: float = field(default_factory=time.perf_counter)


@dataclass(slots=True)
class Account:
    """What is counted of a request at its end."""

    outcome: str = ""
    prompt_tokens: int = 0


class Reception:
    """Takes requests in. What is not a visit's own is shared by all of them, and by all doors."""

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

    async def serve(self, visit: Visit) -> None:
        """Write every message of the request's answer. Cancelling, or an error of write, stops the work everywhere.

        Raises whatever of the error tree the request ends with; what was written before stays written.
        """
        proto = visit.request
        with self._tracing.span(names.REQUEST, parent=visit.parent) as span, self._accounted(span, visit) as account:
            request_id = self._intake.request_id(proto)
            span.set_attribute(names.REQUEST_ID, request_id)
            async with visit.deadline.enforced(), self._leases.hold(request_id):
                journey = Journey(await self._admit(request_id, proto), visit.deadline)
                journey.times.tokenize_ms = (time.perf_counter() - visit.arrived_s) * 1e3
                account.prompt_tokens = len(journey.request.prompt_ids)
                span.set_attributes(_attributes(journey.request, self._model.name))
                account.outcome = await self._answer(journey, visit, span)

    async def _answer(self, journey: Journey, visit: Visit, span: Span) -> str:
        answer = Answer(journey.request, self._tokenizer.detokenizer(journey.request.prompt_ids))
        generation = Generation(journey, answer, self._pipeline, self._tracing, self._metrics, visit.arrived_s)
        reason = await generation.run(visit.write, echo_timings=visit.request.include_timings)
        self._tracing.record_content(span, visit.request.text, answer.text)
        span.set_attributes(
            {
                names.FINISH_REASONS: (reason.value,),
                names.OUTPUT_TOKENS: answer.tokens,
                names.TTFT_S: journey.times.ttft_ms / 1e3,
            }
        )
        return reason.value

    async def _admit(self, request_id: str, proto: inference_pb2.GenerateRequest) -> RoutedRequest:
        with self._tracing.span(names.TOKENIZE, attributes={names.REQUEST_ID: request_id}):
            if len(proto.text) > LONG_TEXT_CHARS:
                return await asyncio.to_thread(self._intake.admit, request_id, proto)
            return self._intake.admit(request_id, proto)

    @contextmanager
    def _accounted(self, span: Span, visit: Visit) -> Iterator[Account]:
        """Count the request once, with the outcome that it had, whichever way the block is left."""
        account = Account()
        try:
            yield account
        except BaseException as error:
            account.outcome = outcome_of(error)
            raise
        finally:
            span.set_attribute(names.OUTCOME, account.outcome)
            self._metrics.finished(account.outcome, time.perf_counter() - visit.arrived_s, account.prompt_tokens)


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
