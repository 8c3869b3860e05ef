"""Owns what the client reads: tokens become whole characters, stop strings end the text, the last message says why."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from splitwiser.engine.base import FinishReason
from splitwiser.routing.request import Outcome, PhaseTimes, RoutedRequest
from splitwiser.rpc import convert
from splitwiser.text.detokenizer import Detokenizer
from splitwiser.text.stop import StopMatcher
from splitwiser.v1 import inference_pb2, sampling_pb2


class Answer:
    """Builds the messages of one request's stream."""

    def __init__(self, request: RoutedRequest, detokenizer: Detokenizer) -> None:
        self._request = request
        self._detokenizer = detokenizer
        self._stop = StopMatcher(request.stop_strings)
        self._heading: dict[str, Any] = {
            "request_id": request.request_id,
            "prompt_tokens": len(request.prompt_ids),
        }
        self.tokens = 0
        """Tokens of the completion so far."""
        self._texts: list[str] = []

    @property
    def stopped(self) -> bool:
        """A stop string was matched: no text follows and decode may end."""
        return self._stop.matched

    @property
    def text(self) -> str:
        """The completion so far, as the client has it."""
        return "".join(self._texts)

    def message(
        self, token_ids: list[int], logprobs: Sequence[sampling_pb2.TokenLogprobs] = ()
    ) -> inference_pb2.GenerateResponse:
        """The next message: the text that these tokens complete, and with the last of them why they end."""
        text, taken, reason = "", list[int](), None
        for token_id in token_ids:
            taken.append(token_id)
            text += self._text(token_id, self.tokens + len(taken))
            if reason := self._reason(token_id, self.tokens + len(taken)):
                text += self._rest()
                # What was held back may have held a stop string.
                reason = FinishReason.STOP if self.stopped else reason
                break
        self.tokens += len(taken)
        self._texts.append(text)
        heading, self._heading = self._heading, {}
        return inference_pb2.GenerateResponse(
            text=text,
            token_ids=taken,
            finish_reason=convert.finish_to_proto(reason),
            logprobs=logprobs[: len(taken)],
            **heading,
        )

    def end(
        self, outcome: Outcome | None, times: PhaseTimes | None, cached_tokens: int = 0, loaded_tokens: int = 0
    ) -> tuple[inference_pb2.GenerateResponse, FinishReason]:
        """The last message and its reason: held-back text, counts, times where given. outcome None: a stop string."""
        text = self._rest()
        self._texts.append(text)
        reason = FinishReason.STOP if outcome is None or self.stopped else outcome.finish_reason
        finish = inference_pb2.Finish(
            reason=convert.finish_to_proto(reason),
            usage=inference_pb2.Usage(
                prompt_tokens=len(self._request.prompt_ids),
                completion_tokens=self.tokens,
                cached_tokens=cached_tokens,
                loaded_tokens=loaded_tokens,
            ),
            timings=timings(times) if times else None,
        )
        return inference_pb2.GenerateResponse(text=text, finish=finish), reason

    def _text(self, token_id: int, tokens: int) -> str:
        text = self._detokenizer.add(token_id)
        return text if tokens < self._request.stop.min_tokens else self._stop.add(text)

    def _reason(self, token_id: int, tokens: int) -> FinishReason | None:
        return FinishReason.STOP if self.stopped else self._request.stop.reason(token_id, tokens)

    def _rest(self) -> str:
        """Text that was held back."""
        return "" if self.stopped else self._stop.add(self._detokenizer.flush()) + self._stop.flush()


def timings(times: PhaseTimes) -> inference_pb2.Timings:
    """The wire form; both have the same field names."""
    return inference_pb2.Timings(**{field.name: getattr(times, field.name) for field in fields(times)})
