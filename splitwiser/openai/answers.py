"""Owns the answers' JSON: a completion or a chat, in one piece or as the chunks of a stream."""

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from splitwiser.openai.logprobs import Logprobs, Piece, chat_logprobs, completion_logprobs
from splitwiser.v1 import inference_pb2, sampling_pb2

Json = dict[str, Any]
_REASONS = {
    sampling_pb2.FINISH_REASON_UNSPECIFIED: None,
    sampling_pb2.FINISH_REASON_STOP: "stop",
    sampling_pb2.FINISH_REASON_LENGTH: "length",
}


class Completion:
    """The answer to one POST /v1/completions, told by the messages of its stream."""

    whole_object: ClassVar[str] = "text_completion"
    chunk_object: ClassVar[str] = "text_completion"
    id_prefix: ClassVar[str] = "cmpl-"

    def __init__(self, model: str, piece: Piece) -> None:
        self._model = model
        self._piece = piece
        self._token_ids: list[int] = []
        self._logprobs: list[sampling_pb2.TokenLogprobs] = []
        self._created = int(time.time())
        self._texts: list[str] = []
        self._reason: str | None = None
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self.request_id = ""

    def add(self, message: inference_pb2.GenerateResponse) -> None:
        """Take a message in."""
        self.request_id = self.request_id or message.request_id
        self._prompt_tokens = self._prompt_tokens or message.prompt_tokens
        self._token_ids += message.token_ids
        self._logprobs += message.logprobs
        self._texts.append(message.text)
        self._reason = self._reason or _REASONS[message.finish_reason]
        # Of the last message; until then nothing is told of it.
        self._cached_tokens = message.finish.usage.cached_tokens

    @property
    def usage(self) -> Json:
        """Counts of what has been taken in."""
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": len(self._token_ids),
            "total_tokens": self._prompt_tokens + len(self._token_ids),
            "prompt_tokens_details": {"cached_tokens": self._cached_tokens},
        }

    def chunk(self, message: inference_pb2.GenerateResponse) -> Json:
        """The chunk of one message, which has been taken in."""
        reason, logprobs = _REASONS[message.finish_reason], None
        before = len(self._token_ids) - len(message.token_ids)
        if message.logprobs:
            logprobs = self.logprobs(message.token_ids, message.logprobs, sum(map(len, self._texts[:-1])))
        choice = self.chunk_choice(message.text, reason, logprobs, first=not before)
        return self._body(self.chunk_object, [choice])

    def usage_chunk(self) -> Json:
        """The last chunk of a stream that was asked for its usage."""
        return {**self._body(self.chunk_object, []), "usage": self.usage}

    def whole(self) -> Json:
        """Everything, after the last message."""
        logprobs = self.logprobs(self._token_ids, self._logprobs, 0) if self._logprobs else None
        choice = self.whole_choice("".join(self._texts), self._reason, logprobs)
        return {**self._body(self.whole_object, [choice]), "usage": self.usage}

    def chunk_choice(self, text: str, reason: str | None, logprobs: Json | None, *, first: bool) -> Json:
        """One chunk's only choice."""
        return self.whole_choice(text, reason, logprobs)

    def whole_choice(self, text: str, reason: str | None, logprobs: Json | None) -> Json:
        """The answer's only choice."""
        return {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def logprobs(self, token_ids: Sequence[int], logprobs: Logprobs, offset: int) -> Json:
        """Log probabilities of tokens that begin at this character of the text."""
        return completion_logprobs(self._piece, token_ids, logprobs, offset)

    def _body(self, kind: str, choices: list[Json]) -> Json:
        name = f"{self.id_prefix}{self.request_id}"
        return {"id": name, "object": kind, "created": self._created, "model": self._model, "choices": choices}


class Chat(Completion):
    """The answer to one POST /v1/chat/completions."""

    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"
    id_prefix = "chatcmpl-"

    def chunk_choice(self, text: str, reason: str | None, logprobs: Json | None, *, first: bool) -> Json:
        """One chunk's only choice; the first one says who speaks."""
        delta = {"role": "assistant", "content": text} if first else {"content": text}
        return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}

    def whole_choice(self, text: str, reason: str | None, logprobs: Json | None) -> Json:
        """The answer's only choice."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}

    def logprobs(self, token_ids: Sequence[int], logprobs: Logprobs, offset: int) -> Json:
        """Log probabilities of tokens."""
        return chat_logprobs(self._piece, token_ids, logprobs)
