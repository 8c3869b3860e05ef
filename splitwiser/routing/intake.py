"""Owns the checks on a Generate request: each wrong field is refused with its name and a help line, before any work."""

import re
import uuid
from dataclasses import dataclass

from splitwiser.engine.base import StopRule
from splitwiser.engine.offers import require_offered
from splitwiser.errors import InvalidRequest, ModelNotFound, PromptTooLong
from splitwiser.routing.request import RoutedRequest
from splitwiser.routing.sampling import check_sampling
from splitwiser.text.model_info import ModelInfo
from splitwiser.text.tokenizer import Tokenizer
from splitwiser.v1 import inference_pb2, sampling_pb2

MAX_SALT_CHARS = 128
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request."""

    default_max_tokens: int
    max_stop_strings: int
    max_stop_chars: int
    max_prompt_chars: int
    max_request_tokens: int
    """What the pool can hold for one request, prompt and completion together."""


def new_request_id() -> str:
    """For a caller who has none."""
    return uuid.uuid4().hex


class Intake:
    """Turns the wire's request into a RoutedRequest, or says what is wrong with it."""

    def __init__(self, model: ModelInfo, tokenizer: Tokenizer, limits: Limits) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._limits = limits
        self.max_tokens = min(model.max_tokens, limits.max_request_tokens)
        """Prompt and completion together, as model and pool allow."""

    def request_id(self, proto: inference_pb2.GenerateRequest) -> str:
        """The caller's id, or a new one."""
        if not proto.request_id:
            return new_request_id()
        if not REQUEST_ID.fullmatch(proto.request_id):
            raise InvalidRequest(
                "has characters or a length that are not allowed",
                field="request_id",
                help="use 1 to 128 of letters, digits, '.', '_', ':' and '-', or leave it empty",
            )
        return proto.request_id

    def check_model(self, name: str) -> None:
        """Empty names the served model; any other name must be it."""
        if name and name != self._model.name:
            raise ModelNotFound(
                f"model {name[:200]!r} is not served here",
                field="model",
                help=f"ask for {self._model.name!r}, or leave it empty",
            )

    def admit(self, request_id: str, proto: inference_pb2.GenerateRequest) -> RoutedRequest:
        """The checked request. Raises InvalidRequest, PromptTooLong or ModelNotFound."""
        self.check_model(proto.model)
        sampling = check_sampling(proto.sampling, self._model.vocab_size, self._tokenizer)
        stop_strings = self._stop_strings(proto.stop)
        prompt_ids = self._prompt_ids(proto)
        stop = self._stop_rule(proto.stop, len(prompt_ids))
        require_offered(self._model.engine, sampling, stop)
        return RoutedRequest(
            request_id=request_id,
            prompt_ids=prompt_ids,
            sampling=sampling,
            stop=stop,
            stop_strings=stop_strings,
            priority=proto.priority,
            cache_salt=_cache_salt(proto.cache_salt),
        )

    def tokenize(self, text: str, field: str, *, add_special_tokens: bool = True) -> tuple[int, ...]:
        """Token ids of the text. A text too long to be worth tokenizing is refused first."""
        if len(text) > self._limits.max_prompt_chars:
            raise PromptTooLong(
                f"has {len(text)} characters, {self._limits.max_prompt_chars} is the most",
                field=field,
                help="shorten it",
            )
        return tuple(self._tokenizer.encode(text, add_special_tokens=add_special_tokens))

    def _prompt_ids(self, proto: inference_pb2.GenerateRequest) -> tuple[int, ...]:
        match proto.WhichOneof("prompt"):
            case "text":
                special = proto.add_special_tokens if proto.HasField("add_special_tokens") else True
                prompt_ids, field = self.tokenize(proto.text, "text", add_special_tokens=special), "text"
                if not proto.text:
                    prompt_ids = ()
            case "token_ids":
                prompt_ids, field = tuple(proto.token_ids.ids), "token_ids"
            case _:
                prompt_ids, field = (), "prompt"
        if not prompt_ids:
            raise InvalidRequest(
                "the prompt is empty", field=field, help="send text or token_ids with at least one token"
            )
        if max(prompt_ids) >= self._model.vocab_size:
            raise InvalidRequest(
                f"{max(prompt_ids)} is no token id", field=field, help=f"use ids below {self._model.vocab_size}"
            )
        return prompt_ids

    def _stop_rule(self, stop: sampling_pb2.StopConditions, prompt_tokens: int) -> StopRule:
        max_tokens = self._completion_tokens(stop, prompt_tokens)
        if stop.min_tokens > max_tokens:
            raise InvalidRequest(
                f"is {stop.min_tokens}, and max_tokens {max_tokens}",
                field="stop.min_tokens",
                help="ask for at most max_tokens",
            )
        return StopRule(max_tokens, self._stop_token_ids(stop), stop.min_tokens)

    def _completion_tokens(self, stop: sampling_pb2.StopConditions, prompt_tokens: int) -> int:
        room = self.max_tokens - prompt_tokens
        if room < 1:
            raise PromptTooLong(
                f"the prompt has {prompt_tokens} tokens; with one generated token {self.max_tokens} fit",
                field="prompt",
                help=f"shorten the prompt to {self.max_tokens - 1} tokens or fewer",
            )
        if not stop.HasField("max_tokens"):
            return min(self._limits.default_max_tokens, room)
        if not 1 <= stop.max_tokens <= room:
            raise InvalidRequest(
                f"is {stop.max_tokens}; after this prompt of {prompt_tokens} tokens {room} fit",
                field="stop.max_tokens",
                help=f"ask for 1 to {room} tokens",
            )
        return stop.max_tokens

    def _stop_token_ids(self, stop: sampling_pb2.StopConditions) -> frozenset[int]:
        wrong = [token_id for token_id in stop.stop_token_ids if token_id >= self._model.vocab_size]
        if wrong:
            raise InvalidRequest(
                f"{wrong[0]} is no token id",
                field="stop.stop_token_ids",
                help=f"use ids below {self._model.vocab_size}",
            )
        return frozenset(stop.stop_token_ids) | (frozenset() if stop.ignore_eos else self._model.eos_token_ids)

    def _stop_strings(self, stop: sampling_pb2.StopConditions) -> tuple[str, ...]:
        limits = self._limits
        if len(stop.stop) > limits.max_stop_strings:
            raise InvalidRequest(
                f"has {len(stop.stop)} strings", field="stop.stop", help=f"send at most {limits.max_stop_strings}"
            )
        if any(not 1 <= len(text) <= limits.max_stop_chars for text in stop.stop):
            raise InvalidRequest(
                "has a string that is empty or too long",
                field="stop.stop",
                help=f"use strings of 1 to {limits.max_stop_chars} characters",
            )
        return tuple(stop.stop)


def _cache_salt(salt: str) -> str:
    if len(salt) > MAX_SALT_CHARS:
        raise InvalidRequest(
            f"has {len(salt)} characters", field="cache_salt", help=f"use at most {MAX_SALT_CHARS}, such as a digest"
        )
    return salt
