"""A prefill that pauses after its steps, in vLLM's own scheduler."""

from tests.support.paced_prefill import PREFILL, check_tokens_are_those_without_pauses
from tests.support.stack import RunningStack, running_stack


async def test_pauses_between_steps_leave_tokens_as_they_are(stack: RunningStack, tiny_llama: str) -> None:
    engine = {"kind": "vllm", "model": tiny_llama}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill=PREFILL) as paced:
        await check_tokens_are_those_without_pauses(stack, paced)
