"""A made-up run: requests through one prefill and one decode worker, as the services would record it."""

import random
from dataclasses import dataclass, field
from typing import Any

from splitwiser.telemetry import names
from splitwiser.telemetry.records import Record, SpanRecord, StepRecord

MS = 1_000_000
ORIGIN_NS = 1_800_000_000 * 1_000_000_000


@dataclass
class Run:
    """Turns arrivals into records: one prompt a prefill step in chunks, every running sequence in each decode step."""

    seed: int = 7
    requests: int = 40
    records: list[Record] = field(default_factory=list)

    def play(self) -> list[Record]:
        draw = random.Random(self.seed)
        now, free_at, waiting = ORIGIN_NS, ORIGIN_NS, []
        for number in range(self.requests):
            now += int(draw.expovariate(1 / (42 * MS)))
            prompt = int(draw.lognormvariate(5.3, 0.9)) + 1
            output = min(int(draw.lognormvariate(3.6, 0.7)) + 2, 160)
            free_at = self._prefill(number, now, max(now + MS, free_at), prompt)
            waiting.append((free_at, number, output))
        self._decode(waiting)
        self._roots(draw)
        return self.records

    def _prefill(self, number: int, arrived: int, start: int, prompt: int) -> int:
        self.arrived[number], self.prompts[number] = arrived, prompt
        self._span(number, names.TOKENIZE, arrived, arrived + MS // 3, "router")
        self._span(number, names.QUEUE, arrived + MS // 3, arrived + (start - arrived) // 2, "router")
        self._span(number, names.PREFILL_QUEUE, arrived + (start - arrived) // 2, start, "prefill-0")
        at = start
        for begin in range(0, prompt, 256):
            tokens = min(256, prompt - begin)
            end = at + 4 * MS + tokens * MS // 9
            self.records.append(StepRecord("prefill", at, end, 1, tokens, 30 + number % 11, "prefill-0"))
            self._span(number, names.PREFILL_CHUNK, at, end, "prefill-0", {names.TOKENS: tokens})
            at = end
        self._span(number, names.GRANT, at, at + MS // 2, "prefill-0")
        self._span(number, names.PREFILL, arrived + (start - arrived) // 2, at + MS, "prefill-0")
        return at

    def _decode(self, waiting: list[tuple[int, int, int]]) -> None:
        running: dict[int, int] = {}
        granted = {number: at for at, number, _ in waiting}
        now = waiting[0][0]
        while running or waiting:
            now = max(now, waiting[0][0]) if waiting and not running else now
            joined = [(number, output) for at, number, output in waiting if at <= now]
            waiting = [entry for entry in waiting if entry[0] > now]
            running |= dict(joined)
            end = now + 7 * MS + len(running) * MS // 2
            self.records.append(
                StepRecord("decode", now, end, len(running), len(running), 8 * len(running), "decode-0")
            )
            for number, output in joined:
                self._join(number, granted[number], now, end, output)
            for number in [number for number, left in running.items() if left <= 2]:
                self._span(number, names.DECODE_STEPS, self.first_step[number], end, "decode-0")
                self._span(number, names.DECODE, granted[number] + MS, end + MS // 10, "decode-0")
                self.ended[number] = end
                del running[number]
            running = {number: left - 1 for number, left in running.items()}
            now = end + MS // 5

    def _join(self, number: int, granted: int, start: int, end: int, output: int) -> None:
        claim = min(granted + 2 * MS, start)
        self._span(number, names.DECODE_QUEUE, min(granted + MS, claim), claim, "decode-0")
        self._span(number, names.CLAIM, claim, min(claim + MS, start), "decode-0")
        self._span(number, names.FIRST_STEP, start, end, "decode-0", {names.HANDOFF_MS: (end - granted) / MS})
        self.first_step[number], self.outputs[number] = end, output

    def _roots(self, draw: random.Random) -> None:
        for number, end in self.ended.items():
            outcome = draw.choices(["stop", "length", "cancelled", "WORKER_LOST"], [60, 30, 6, 4])[0]
            attributes = {
                names.OUTCOME: outcome,
                names.INPUT_TOKENS: self.prompts[number],
                names.OUTPUT_TOKENS: self.outputs[number],
            }
            self._span(number, names.REQUEST, self.arrived[number], end + MS, "router", attributes)

    arrived: dict[int, int] = field(default_factory=dict)
    prompts: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    first_step: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)

    def _span(
        self, number: int, name: str, start: int, end: int, instance: str, more: dict[str, Any] | None = None
    ) -> None:
        parent = {names.REQUEST: "", names.PREFILL: names.REQUEST, names.DECODE: names.REQUEST}.get(
            name, {"router": names.REQUEST, "prefill-0": names.PREFILL, "decode-0": names.DECODE}[instance]
        )
        attributes = {names.REQUEST_ID: f"demo-{number:03d}", **(more or {})}
        parent_id = f"{number}-{parent}" if parent else ""
        self.records.append(
            SpanRecord(name, f"trace-{number}", f"{number}-{name}", parent_id, start, end, attributes, instance)
        )
