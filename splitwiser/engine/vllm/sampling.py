"""Owns the way of a request's parameters into vLLM's."""

import hashlib
from collections.abc import Collection

from vllm import SamplingParams

from splitwiser.engine.base import Phase, Sampling

_SEED_BYTES = 7


def sampling_params(
    sampling: Sampling, phase: Phase, *, max_tokens: int, stop_token_ids: Collection[int] = (), first_index: int = 0
) -> SamplingParams:
    """Greedy at temperature 0, else drawn from a generator of the request's own. max_tokens: that vLLM generates.

    first_index: above 0 the request is resumed from that token on.
    """
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=phase_seed(sampling.seed, phase, first_index),
        max_tokens=max_tokens,
        stop_token_ids=sorted(stop_token_ids),
        ignore_eos=True,
        detokenize=False,
    )


def phase_seed(seed: int, phase: Phase, first_index: int = 0) -> int:
    """The seed of one phase. With the same one in both, tokens 0 and 1 would be drawn by the same random numbers.

    So would be the tokens before and after a loss, had a resumed request (first_index above 0) no seed of its own.
    """
    name = f"{seed} {phase} {first_index}" if first_index else f"{seed} {phase}"
    digest = hashlib.blake2b(name.encode(), digest_size=_SEED_BYTES).digest()
    return int.from_bytes(digest, "little")
