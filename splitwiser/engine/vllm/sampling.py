"""Owns the way of a request's parameters into vLLM's."""

import hashlib
from collections.abc import Collection

from vllm import SamplingParams

from splitwiser.engine.base import Phase, Sampling

_SEED_BYTES = 7


def sampling_params(
    sampling: Sampling, phase: Phase, *, max_tokens: int, stop_token_ids: Collection[int] = ()
) -> SamplingParams:
    """Greedy at temperature 0, else drawn from a generator of the request's own. max_tokens: that vLLM generates."""
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=phase_seed(sampling.seed, phase),
        max_tokens=max_tokens,
        stop_token_ids=sorted(stop_token_ids),
        ignore_eos=True,
        detokenize=False,
    )


def phase_seed(seed: int, phase: Phase) -> int:
    """The seed of one phase. With the same one in both, tokens 0 and 1 would be drawn by the same random numbers."""
    digest = hashlib.blake2b(f"{seed} {phase}".encode(), digest_size=_SEED_BYTES).digest()
    return int.from_bytes(digest, "little")
