"""What vLLM is asked for on a GPU, seen without one: its own arguments, before it looks for a device."""

from typing import Any

import pytest

from splitwiser.config.schema import Settings
from splitwiser.engine.base import Phase

# vLLM's import meets what torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore")


def on_a_gpu(model: str, phase: Phase, **engine: object) -> Any:
    from splitwiser.engine.vllm.settings import engine_args

    settings = {
        "engine": {"kind": "vllm", "device": "cuda", "model": model, **engine},
        "prefill": {"chunk_tokens": 4096, "max_batch": 16},
        "decode": {"max_batch": 48},
    }
    return engine_args(Settings.model_validate(settings), phase)


def test_only_decode_captures_graphs(tiny_llama: str) -> None:
    modes = {
        phase: on_a_gpu(tiny_llama, phase).compilation_config.cudagraph_mode.name for phase in ("prefill", "decode")
    }
    assert modes == {"prefill": "NONE", "decode": "FULL_DECODE_ONLY"}


@pytest.mark.parametrize(("phase", "tokens", "sequences"), [("prefill", 4096, 16), ("decode", 48, 48)])
def test_each_phase_is_tried_out_with_its_own_longest_step(
    tiny_llama: str, phase: Phase, tokens: int, sequences: int
) -> None:
    args = on_a_gpu(tiny_llama, phase)
    assert (args.max_num_batched_tokens, args.max_num_seqs) == (tokens, sequences)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_nothing_is_compiled_where_tokens_may_not_hang_on_the_batch(tiny_llama: str, phase: Phase) -> None:
    assert on_a_gpu(tiny_llama, phase, batch_invariant=True).compilation_config.mode.name == "NONE"
    assert on_a_gpu(tiny_llama, phase).compilation_config.mode is None, "vLLM compiles by itself"
