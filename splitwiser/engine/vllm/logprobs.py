"""Owns the way of vLLM's log probabilities out."""

from collections.abc import Iterator

from vllm.v1.outputs import LogprobsLists

from splitwiser.engine.base import TokenLogprobs


def token_logprobs(lists: LogprobsLists, count: int) -> Iterator[TokenLogprobs]:
    """One for each new token. A row has the token itself first, then the likeliest, as many as its batch asked for."""
    for token_ids, logprobs in zip(lists.logprob_token_ids.tolist(), lists.logprobs.tolist(), strict=True):
        own, *top = zip(token_ids, logprobs, strict=True)
        yield TokenLogprobs(own[1], tuple(top[:count]))
