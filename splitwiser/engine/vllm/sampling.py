"""Owns the way of a request's parameters into vLLM's."""

import hashlib
import json
from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams

from splitwiser.engine.base import NO_END, Phase, Sampling, StopRule, StructuredOutput

_SEED_BYTES = 7
_MAX_SEED = (1 << 63) - 1


def sampling_params(sampling: Sampling, seed: int, *, max_tokens: int, stop: StopRule = NO_END) -> SamplingParams:
    """Greedy at temperature 0, else drawn by a seed of request_seed's. max_tokens: after which vLLM ends."""
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=seed,
        max_tokens=max_tokens,
        min_tokens=min(stop.min_tokens, max_tokens),
        stop_token_ids=sorted(stop.stop_token_ids),
        min_p=sampling.min_p,
        logit_bias=dict(sampling.logit_bias) or None,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        # What vLLM makes of its bad_words, for which it would need a tokenizer.
        _bad_words_token_ids=[list(word) for word in sampling.bad_words],
        logprobs=sampling.logprobs,
        structured_outputs=sampling.structured_output and _structured(sampling.structured_output),
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


def _structured(output: StructuredOutput) -> StructuredOutputsParams:
    values: dict[str, dict[str, Any]] = {
        "json_schema": {"json": output.spec},
        "json_object": {"json_object": True},
        "regex": {"regex": output.spec},
        "choice": {"choice": json.loads(output.spec) if output.kind == "choice" else None},
        "grammar": {"grammar": output.spec},
    }
    return StructuredOutputsParams(**values[output.kind])
