"""Owns the only loop of a vllm engine: requests in and out, a turn of the core, and what it brought to each request."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vllm.v1.engine import EngineCoreOutput
from vllm.v1.outputs import LogprobsLists

from splitwiser.engine.base import FinishReason, StepObserver, StepSpan
from splitwiser.engine.loop import StepTime
from splitwiser.engine.outcomes import Outcomes
from splitwiser.engine.step_gate import StepGate
from splitwiser.engine.step_watch import StepWatch
from splitwiser.engine.vllm.core import Admission, Core, Turn
from splitwiser.settled import settled


@dataclass(frozen=True, slots=True)
class Step:
    """One request's part in a step that ended. token_ids: what came out, often nothing while a prompt is prefilled."""

    time: StepTime
    tokens: int
    token_ids: Sequence[int]
    finish_reason: FinishReason | None
    logprobs: LogprobsLists | None = None

    @property
    def span(self) -> StepSpan:
        return StepSpan(self.time.start_ns, self.time.end_ns, self.tokens)


@dataclass(slots=True, eq=False)
class Member:
    """A request in the engine. on_step: after each of its steps; on_returned: no step uses its pages any more.

    pages: those of the admission, and what has been appended to them; the engine knows of the first known_pages.
    """

    name: str
    admission: Admission
    on_step: Callable[[Step], None]
    on_returned: Callable[[], None]
    pages: Sequence[int] = ()
    finished: bool = False
    known_pages: int = field(init=False)

    def __post_init__(self) -> None:
        self.known_pages = len(self.admission.pages)

    def more_pages(self) -> Sequence[int]:
        """Those that the engine does not know of yet; it is told now."""
        more = self.pages[self.known_pages :]
        self.known_pages += len(more)
        return more


class CoreLoop:
    """Turns for as long as the core has work and the gate is open, sleeps otherwise."""

    def __init__(self, phase: str, core: Core, observer: StepObserver) -> None:
        self._phase = phase
        self._core = core
        self._observer = observer
        self._wake = asyncio.Event()
        self._stopping = self._busy = False
        self._entering: list[Member] = []
        self._leaving: list[str] = []
        self._members: dict[str, Member] = {}
        self.outcomes = Outcomes(phase)
        self.steps = StepWatch()
        self.gate = StepGate()
        self.gate.on_open(self._wake.set)

    @property
    def count(self) -> int:
        """Requests in the engine."""
        return len(self._members)

    def add(self, member: Member) -> None:
        """Let a request take part from the next turn on."""
        self._members[member.admission.request.request_id] = member
        self._entering.append(member)
        self._wake.set()

    def abort(self, member: Member) -> None:
        """Take a request out; on_returned follows. Without effect on one that has ended."""
        name = member.admission.request.request_id
        if name in self._members and name not in self._leaving:
            self._leaving.append(name)
            self._wake.set()

    async def run(self) -> None:
        """Loop until cancelled or broken. Either way nothing writes to a page when this ends."""
        try:
            await settled(asyncio.ensure_future(self._turns()), self._stop)
        except BaseException as error:
            self.outcomes.end(error)
            raise

    async def _turns(self) -> None:
        try:
            while not self._stopping:
                # Who leaves does not wait for the gate: that turn has no step then.
                if self._leaving or (self.gate.is_open and (self._busy or self._entering)):
                    await self._turn()
                else:
                    await self._wake.wait()
                    self._wake.clear()
        finally:
            # A step may have been launched ahead, and whoever is told of the end gives its pages away.
            with self.steps.step():
                await self._core.settle()

    async def _turn(self) -> None:
        entering, self._entering = self._entering, []
        leaving, self._leaving = self._leaving, []
        admissions, grown = [member.admission for member in entering], self._grown()
        with self.steps.step():
            turn = await self._core.turn(admissions, grown, leaving, step=self.gate.is_open)
        self._busy = turn.busy
        self._tell(turn)

    def _grown(self) -> dict[str, Sequence[int]]:
        """By request id, pages that have come since the last turn."""
        members = self._members.items()
        return {
            request_id: member.more_pages()
            for request_id, member in members
            if len(member.pages) > member.known_pages and not member.finished
        }

    def _tell(self, turn: Turn) -> None:
        outputs = {output.request_id: output for output in turn.outputs}
        names = []
        for request_id, tokens in turn.step_tokens.items():
            member = self._members[request_id]
            names.append(member.name)
            output = outputs.get(request_id)
            if member.finished:
                # A step that was scheduled before its last token was known, for nothing.
                continue
            member.finished = output is not None and output.finished
            member.on_step(_step(turn.time, tokens, output))
        for request_id in turn.returned:
            self._members.pop(request_id).on_returned()
        if names:
            span = StepSpan(turn.time.start_ns, turn.time.end_ns, sum(turn.step_tokens.values()))
            self._observer(self._phase, span, len(names), names)

    def _stop(self) -> None:
        self._stopping = True
        self._wake.set()


def _step(time: StepTime, tokens: int, output: EngineCoreOutput | None) -> Step:
    reason = str(output.finish_reason) if output else ""
    if output is None or reason == "error":
        # The token of an error is one that the request forbids.
        return Step(time, tokens, (), None)
    # An abort has no reason of ours: its caller has gone.
    finish_reason = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}.get(reason)
    return Step(time, tokens, output.new_token_ids, finish_reason, output.new_logprobs)
