"""Owns requests as vLLM gets them: those tokens of an answer that another engine has drawn are output, not prompt.

Penalties, bad words and least lengths count output. vLLM's own requests come so after a preemption: its scheduler and
runner V2 then take prompt and output from the request. Runner V1 knows of no output but what it drew itself before the
preemption, and here it drew none; so it finds these tokens in the sampling parameters.
"""

from collections.abc import Sequence

from vllm.v1.request import Request
from vllm.v1.worker import gpu_model_runner
from vllm.v1.worker.gpu_input_batch import CachedRequestState

from splitwiser.engine.base import Sampling, StopRule
from splitwiser.engine.vllm.sampling import sampling_params

_EARLIER = "splitwiser_earlier_tokens"


def make_request(
    number: int,
    prompt: Sequence[int],
    earlier: Sequence[int],
    sampling: Sampling,
    seed: int,
    stop: StopRule,
    *,
    max_tokens: int,
    priority: int,
) -> Request:
    """number: its name, and its place in line. earlier: tokens of its answer; max_tokens and stop count them too."""
    params = sampling_params(sampling, seed, max_tokens=max_tokens, stop=stop)
    params.extra_args = {_EARLIER: list(earlier)}
    request = Request(f"{number}", list(prompt), params, pooling_params=None, arrival_time=number, priority=priority)
    request.append_output_token_ids(list(earlier))
    return request


class _RequestState(CachedRequestState):
    def __post_init__(self) -> None:
        super().__post_init__()
        params = self.sampling_params
        if params and params.extra_args:
            self.output_token_ids.extend(params.extra_args[_EARLIER])


def let_runner_v1_count_earlier_tokens() -> None:
    """For the runner of this process."""
    gpu_model_runner.CachedRequestState = _RequestState
