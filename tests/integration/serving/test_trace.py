"""One request is one trace across the processes, every service can be scraped, and no text is written anywhere."""

import asyncio
import urllib.request
import uuid

from splitwiser.rpc.client import Client
from splitwiser.stack.card import read_cards
from splitwiser.telemetry import names
from splitwiser.telemetry.records import SpanRecord
from splitwiser.telemetry.timeline import read_timeline
from splitwiser.v1.inference_pb2 import GenerateRequest
from splitwiser.v1.sampling_pb2 import StopConditions
from tests.support.stack import RunningStack
from tests.support.waiting import PATIENCE_S

ROUTER_SPANS = {names.REQUEST, names.TOKENIZE, names.QUEUE, names.FINISH}
PREFILL_SPANS = {names.PREFILL, names.PREFILL_QUEUE, names.PREFILL_CHUNK, names.GRANT}
DECODE_SPANS = {names.DECODE, names.DECODE_QUEUE, names.CLAIM, names.FIRST_STEP, names.DECODE_STEPS}
SECRET = "the launch code is ponies"


async def spans_of(stack: RunningStack, request_id: str) -> list[SpanRecord]:
    """The request's spans once all have come."""
    for _ in range(100):
        records = read_timeline(stack.settings.run_dir)
        spans = [r for r in records if isinstance(r, SpanRecord) and r.attributes.get(names.REQUEST_ID) == request_id]
        if {span.name for span in spans} >= ROUTER_SPANS | PREFILL_SPANS | DECODE_SPANS:
            return spans
        await asyncio.sleep(0.1)
    raise AssertionError(f"only {sorted(span.name for span in spans)}")


async def test_every_phase_is_a_span_of_one_trace(stack: RunningStack) -> None:
    request_id = uuid.uuid4().hex
    async with Client(stack.address) as client:
        request = GenerateRequest(request_id=request_id, text="traced", stop=StopConditions(max_tokens=8))
        async for _ in client.generate(request, timeout_s=10):
            pass
    spans = await spans_of(stack, request_id)
    assert len({span.trace_id for span in spans}) == 1
    by_instance = {
        name: {span.name for span in spans if span.instance == name} for name in ("router", "prefill-0", "decode-0")
    }
    assert by_instance == {"router": ROUTER_SPANS, "prefill-0": PREFILL_SPANS, "decode-0": DECODE_SPANS}
    ids = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id not in ids]
    assert [span.name for span in roots] == [names.REQUEST]


async def test_no_text_is_written_anywhere(stack: RunningStack) -> None:
    request_id = uuid.uuid4().hex
    async with Client(stack.address) as client:
        request = GenerateRequest(request_id=request_id, text=SECRET, stop=StopConditions(max_tokens=20))
        answer = "".join([message.text async for message in client.generate(request, timeout_s=10)])
    await spans_of(stack, request_id)
    files = [path for path in stack.settings.run_dir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in files)
    for path in files:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert answer.encode() not in content, path


def test_every_service_can_be_scraped(stack: RunningStack) -> None:
    for card in read_cards(stack.settings.run_dir).values():
        with urllib.request.urlopen(f"http://127.0.0.1:{card.metrics_port}/metrics", timeout=PATIENCE_S) as answer:
            assert b"\nsplitwiser_" in answer.read(), card.instance
