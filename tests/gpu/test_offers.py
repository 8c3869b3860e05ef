"""What vLLM offers crosses the hand-off on a GPU as on a CPU: the same tests, with a stack that is there."""

import importlib.util
from collections.abc import Iterator

import pytest

from splitwiser.engine.transformers.tiny import make_tiny
from tests.integration.vllm import test_offers as offers
from tests.integration.vllm import test_penalties as penalties
from tests.support.stack import RunningStack, running_stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny(tmp_path_factory.mktemp("models") / "llama"))


@pytest.fixture(scope="module")
def stack(tiny_llama: str) -> Iterator[RunningStack]:
    """With an HTTP door; equal tokens need float32 and batch_invariant."""
    router = {"listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0", "policy": "priority"}
    engine = {"kind": "vllm", "device": "cuda", "model": tiny_llama, "dtype": "float32", "batch_invariant": True}
    prefill, patient = {"max_batch": 2}, {"start_timeout_s": 300}
    with running_stack(engine=engine, pool={"pages": 1024}, prefill=prefill, router=router, stack=patient) as stack:
        yield stack


@pytest.fixture(scope="module")
def logprob_error() -> float:
    """Triton's products of float32, which `batch_invariant` brings, are of TF32: such rounding of the inputs of all
    linear layers moves this model's log probabilities by up to 0.032."""
    return 0.05


test_a_grammar_holds = offers.test_a_grammar_holds_from_the_first_token_to_the_last
test_json_is_what_the_schema_says = offers.test_json_is_what_the_schema_says
test_log_probabilities_are_the_models_own = offers.test_log_probabilities_are_the_models_own
test_a_bias_chooses_in_both_phases = offers.test_a_bias_chooses_in_both_phases
test_nothing_ends_before_the_least_length = offers.test_nothing_ends_before_the_least_length
test_a_seed_holds_for_prompts_in_chunks = offers.test_a_seed_holds_for_prompts_in_chunks
test_openai_asks_for_all_of_it = offers.test_openai_asks_for_all_of_it
test_penalties_count_all = penalties.test_penalties_count_token_0_as_output_and_the_prompt_as_prompt
test_a_bad_word_does_not_come = penalties.test_a_bad_word_does_not_come_over_the_hand_off
