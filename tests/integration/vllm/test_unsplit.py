"""One whole vLLM behind the same calls as a stack: what the split is compared with answers, and tells its steps."""

from splitwiser.config.schema import Settings
from splitwiser.experiments.definition import Side
from splitwiser.experiments.load import Sender, equal_requests
from splitwiser.experiments.sides.target import open_side
from splitwiser.experiments.steps import steps_since


async def test_it_answers_exactly_and_tells_its_steps(tiny_llama: str) -> None:
    settings = Settings.model_validate(
        {
            "engine": {"kind": "vllm", "model": tiny_llama},
            "pool": {"pages": 128},
            "prefill": {"chunk_tokens": 64},
            "decode": {"max_batch": 8},
            "stack": {"start_timeout_s": 300},
        }
    )
    async with open_side("one", Side(stack="unsplit"), settings) as target:
        records = await Sender(target).closed_loop(equal_requests(6, 100, 12, seed=1), in_flight=3)
        assert target.run_dir
        steps = await steps_since(target.run_dir, 0)
    assert [(record.completed, record.output_tokens) for record in records] == [(True, 12)] * 6
    assert sum(step.tokens for step in steps) == 6 * (100 + 12), "a prompt's tokens are told with its last chunk"
    assert {step.phase for step in steps} <= {"prefill", "decode", "mixed"}
    assert all(step.pages is not None and step.pages <= 128 for step in steps)
    assert all(step.end_ms >= step.start_ms for step in steps)
