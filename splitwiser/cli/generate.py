"""Owns `splitwiser generate`: one request, its text printed as it comes."""

import json as json_module
import os
import sys
from contextlib import aclosing
from dataclasses import dataclass

from splitwiser.cli.address import expecting_router
from splitwiser.config.schema import TlsSettings
from splitwiser.errors import InvalidRequest
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2, sampling_pb2


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller asked for; None leaves it to the router."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    bad_words: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    priority: int = 0
    request_id: str = ""
    deadline_s: float | None = None


@dataclass(slots=True)
class Answer:
    """What came back so far."""

    request_id: str = ""
    text: str = ""
    token_ids: tuple[int, ...] = ()
    finish: inference_pb2.Finish | None = None

    def add(self, message: inference_pb2.GenerateResponse) -> None:
        self.request_id = self.request_id or message.request_id
        self.text += message.text
        self.token_ids += tuple(message.token_ids)
        self.finish = message.finish if message.HasField("finish") else self.finish


async def generate(address: str, tls: TlsSettings, prompt: str, wishes: Wishes, *, timings: bool, json: bool) -> None:
    """Print the text as it comes, or one JSON object at the end. Raises the error that ended the request."""
    request = build_request(_standard_input() if prompt == "-" else prompt, wishes, timings=timings or json)
    answer = Answer()
    async with expecting_router(address, tls):
        await _receive(address, tls, request, wishes.deadline_s, answer, echo=not json)
    if json:
        print(to_json(answer))
        return
    print()
    if timings:
        print(_timings(answer), file=sys.stderr)


async def _receive(
    address: str,
    tls: TlsSettings,
    request: inference_pb2.GenerateRequest,
    timeout_s: float | None,
    answer: Answer,
    *,
    echo: bool,
) -> None:
    async with Client(address, tls) as client, aclosing(client.generate(request, timeout_s=timeout_s)) as messages:
        async for message in messages:
            answer.add(message)
            if echo:
                print(message.text, end="", flush=True)


def build_request(prompt: str, wishes: Wishes, *, timings: bool) -> inference_pb2.GenerateRequest:
    """The request's message. Raises InvalidRequest for text that is none; the router checks the rest."""
    try:
        return inference_pb2.GenerateRequest(
            request_id=wishes.request_id,
            text=prompt,
            sampling=sampling_pb2.SamplingParams(
                temperature=wishes.temperature,
                top_p=wishes.top_p,
                top_k=wishes.top_k,
                seed=wishes.seed,
                presence_penalty=wishes.presence_penalty,
                frequency_penalty=wishes.frequency_penalty,
                repetition_penalty=wishes.repetition_penalty,
                bad_words=wishes.bad_words,
            ),
            stop=sampling_pb2.StopConditions(
                max_tokens=wishes.max_tokens, stop=wishes.stop, ignore_eos=wishes.ignore_eos
            ),
            priority=wishes.priority,
            include_timings=timings,
        )
    except UnicodeEncodeError as error:
        raise InvalidRequest("not UTF-8", field="prompt", help="give the text in UTF-8") from error


def _standard_input() -> str:
    # Decoded like an argument, so that what is not UTF-8 meets the same check.
    return os.fsdecode(sys.stdin.buffer.read())


def to_json(answer: Answer) -> str:
    """One object on one line: request_id, text, token_ids, finish_reason, usage and timings."""
    finish = answer.finish or inference_pb2.Finish()
    fields = {
        "request_id": answer.request_id,
        "text": answer.text,
        "token_ids": answer.token_ids,
        "finish_reason": sampling_pb2.FinishReason.Name(finish.reason).removeprefix("FINISH_REASON_").lower(),
        "usage": {
            "prompt_tokens": finish.usage.prompt_tokens,
            "completion_tokens": finish.usage.completion_tokens,
        },
        "timings": _milliseconds(finish.timings),
    }
    return json_module.dumps(fields)


def _milliseconds(timings: inference_pb2.Timings) -> dict[str, float]:
    return {field.name: getattr(timings, field.name) for field in timings.DESCRIPTOR.fields}


def _timings(answer: Answer) -> str:
    finish = answer.finish or inference_pb2.Finish()
    rows = "".join(
        f"\n  {name.removesuffix('_ms').replace('_', ' '):<20}{value:10.2f} ms"
        for name, value in _milliseconds(finish.timings).items()
    )
    usage = f"{finish.usage.prompt_tokens} + {finish.usage.completion_tokens} tokens"
    return f"request {answer.request_id}: {usage}{rows}"
