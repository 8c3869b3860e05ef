"""Owns sending a verification's requests, many at a time, and keeping what came back."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from splitwiser.bench.load import finish_name
from splitwiser.bench.verify.cases import Case
from splitwiser.errors import SplitwiserError
from splitwiser.rpc.client import Client
from splitwiser.v1 import inference_pb2

ANSWER_TIMEOUT_S = 600.0
MOST_TRIES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What a case got: its tokens, and how it ended: a finish reason, or the reason of the error.

    cached_tokens: those of its prompt whose KV was there already.
    """

    case: Case
    tokens: list[int]
    end: str
    cached_tokens: int = 0


class Asker:
    """Sends cases, at most concurrency of them at a time. on_first is told when a request's first token has come."""

    def __init__(self, client: Client, concurrency: int, on_first: Callable[[], None] | None = None) -> None:
        self._client = client
        self._places = asyncio.Semaphore(concurrency)
        self._on_first = on_first
        self.refusals = 0
        """Refusals of a busy stack, each followed by another try."""

    async def ask_all(self, cases: Iterable[Case], attempt: str, on_answer: Callable[[Answer], None]) -> None:
        """Send every case and tell on_answer of each as it ends. What on_answer raises ends the rest."""
        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(self._ask(case, attempt, on_answer))

    async def _ask(self, case: Case, attempt: str, on_answer: Callable[[Answer], None]) -> None:
        async with self._places:
            on_answer(await self.ask(case, attempt))

    async def ask(self, case: Case, attempt: str) -> Answer:
        """One case's answer. An error is an answer too, but for a refusal that says when to try again."""
        for number in range(MOST_TRIES):
            tokens: list[int] = []
            try:
                # A new id each time: the refused one may still be known.
                finish = await self._read(case.request(f"{attempt}-{number}"), tokens)
                return Answer(case, tokens, finish_name(finish.reason), finish.usage.cached_tokens)
            except SplitwiserError as error:
                end = f"{error.reason}: {error.cause}"
                if tokens or error.retry_after_s is None:
                    return Answer(case, tokens, end)
                self.refusals += 1
                await asyncio.sleep(error.retry_after_s)
        return Answer(case, [], end)

    async def _read(self, request: inference_pb2.GenerateRequest, tokens: list[int]) -> inference_pb2.Finish:
        """Add the answer's tokens to tokens as they come, and return its end."""
        finish = inference_pb2.Finish()
        async with aclosing(self._client.generate(request, timeout_s=ANSWER_TIMEOUT_S)) as answer:
            async for message in answer:
                if message.token_ids and not tokens and self._on_first:
                    self._on_first()
                tokens.extend(message.token_ids)
                finish = message.finish
        return finish
