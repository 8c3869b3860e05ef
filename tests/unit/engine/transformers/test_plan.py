"""What a step reads and writes: every row sees exactly the keys it may see, and writes where its page table says."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from splitwiser.engine.batch import DecodeSlot, PrefillChunk
from splitwiser.engine.transformers.plan import KEY_BLOCK, Block, Span, cut, plan, span_of_chunk, span_of_slot
from tests.unit.engine.transformers.serving import GREEDY

PAGE_TOKENS = 16


@st.composite
def spans(draw: st.DrawFn) -> Span:
    total = draw(st.integers(1, 1300))
    start = draw(st.integers(0, total - 1))
    rows = draw(st.integers(1, total - start))
    pages = draw(st.permutations(range(-(-total // PAGE_TOKENS))))
    return Span(range(rows), start, total, pages)


def seen_keys(block: Block, row: int) -> list[int]:
    keys = torch.arange(block.low, block.high)
    if block.mask is not None:
        return keys[block.mask[row - block.first]].tolist()
    return keys[: row + 1].tolist() if block.causal else keys.tolist()


@given(span=spans(), window=st.none() | st.integers(1, 1400))
def test_each_row_sees_its_window_up_to_itself_and_nothing_else(span: Span, window: int | None) -> None:
    rows = []
    for block in cut(span, window):
        for row in range(block.first, block.last):
            position = span.start + row
            first = 0 if window is None else max(0, position + 1 - window)
            assert seen_keys(block, row) == list(range(first, position + 1))
            rows.append(row)
    assert rows == list(range(len(span.token_ids)))


@given(span=spans(), window=st.none() | st.integers(1, 1400))
def test_reads_end_with_the_known_sequence_or_at_a_border(span: Span, window: int | None) -> None:
    read = plan([span], PAGE_TOKENS).reads[0]
    for block in cut(span, window):
        assert block.high <= read <= span.total
        assert block.high == span.total or block.high % KEY_BLOCK == 0


@given(st.lists(spans(), min_size=1, max_size=4))
def test_rows_are_written_to_their_own_slots_of_their_pages(batch: list[Span]) -> None:
    step = plan(batch, PAGE_TOKENS)
    slots = iter(step.slots.tolist())
    for span in batch:
        for position in range(span.start, span.end):
            assert next(slots) == span.pages[position // PAGE_TOKENS] * PAGE_TOKENS + position % PAGE_TOKENS
    assert step.positions[0].tolist() == [p for span in batch for p in range(span.start, span.end)]
    assert sum(step.reads) == len(step.pages) * PAGE_TOKENS


def test_a_chunk_completes_only_at_the_end_of_its_prompt() -> None:
    middle = span_of_chunk(PrefillChunk("r", tuple(range(10)), 2, 6, (0,), GREEDY))
    last = span_of_chunk(PrefillChunk("r", tuple(range(10)), 6, 10, (0,), GREEDY))
    assert (middle.token_ids, middle.start, middle.completes) == ((2, 3, 4, 5), 2, False)
    assert (last.token_ids, last.start, last.completes) == ((6, 7, 8, 9), 6, True)


def test_a_slot_is_one_row_that_sees_all() -> None:
    span = span_of_slot(DecodeSlot("r", 7, 20, 1, (3, 1), GREEDY))
    assert plan([span], PAGE_TOKENS).single
    assert cut(span) == [Block(0, 1, 0, 21)]
