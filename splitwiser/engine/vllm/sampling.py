"""Owns the way of a request's parameters into vLLM's."""

import hashlib
from collections.abc import Collection

from vllm import SamplingParams

from splitwiser.engine.base import Phase, Sampling

_SEED_BYTES = 7
_MAX_SEED = (1 << 63) - 1


def sampling_params(
    sampling: Sampling, seed: int, *, max_tokens: int, stop_token_ids: Collection[int] = ()
) -> SamplingParams:
    """Greedy at temperature 0, else drawn by a seed of request_seed's. max_tokens: that vLLM generates."""
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=seed,
        max_tokens=max_tokens,
        stop_token_ids=sorted(stop_token_ids),
        ignore_eos=True,
        detokenize=False,
    )


def request_seed(seed: int, phase: Phase, *, by_position: bool, first_index: int = 0) -> int:
    """The seed that vLLM gets for one phase of a request; first_index: above 0 it is resumed from that token on.

    by_position: vLLM draws each token by seed and position, so all parts take the request's own (in 63 bits). Else it
    draws in the order of draws: with one seed in both phases, tokens 0 and 1 would be drawn by the same random numbers,
    and so would the tokens before and after a loss.
    """
    if by_position:
        return seed & _MAX_SEED
    name = f"{seed} {phase} {first_index}" if first_index else f"{seed} {phase}"
    digest = hashlib.blake2b(name.encode(), digest_size=_SEED_BYTES).digest()
    return int.from_bytes(digest, "little")
