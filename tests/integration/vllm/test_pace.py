"""Chunks that get shorter beside running streams, in vLLM's own scheduler."""

from tests.support.paced_chunks import PREFILL, check_tokens_are_those_of_whole_chunks
from tests.support.stack import RunningStack, running_stack


async def test_chunks_that_change_on_the_way_leave_tokens_as_they_are(stack: RunningStack, tiny_llama: str) -> None:
    engine = {"kind": "vllm", "model": tiny_llama}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill=PREFILL) as paced:
        await check_tokens_are_those_of_whole_chunks(stack, paced)
