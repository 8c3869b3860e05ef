"""Owns the right answers: the same model in one unsplit vLLM, with weights, cache and scheduler of its own."""

from collections.abc import Sequence

from splitwiser.engine.base import Phase, Sampling
from splitwiser.engine.vllm.environment import prepare_environment

_CACHE_BYTES = 1 << 28

Request = tuple[Sequence[int], int, Sampling]
"""Prompt ids, how many tokens to generate, and how they are drawn."""


class Reference:
    """vLLM's own offline engine. model: a Hugging Face id or folder."""

    def __init__(self, model: str, *, dtype: str, page_tokens: int, threads: int) -> None:
        prepare_environment(threads)
        from vllm import LLM

        self._llm = LLM(
            model,
            dtype=dtype,
            block_size=page_tokens,
            kv_cache_memory_bytes=_CACHE_BYTES,
            skip_tokenizer_init=True,
            enforce_eager=True,
        )

    def answers(self, requests: Sequence[Request]) -> list[list[int]]:
        """The next tokens of each prompt, whatever they are; those that are drawn, as the two phases draw them."""
        drawn = [request for request in requests if request[2].temperature > 0]
        firsts = self._generate([(ids, 1, sampling) for ids, _, sampling in drawn], "prefill")
        rests = self._generate(
            [((*ids, *first), tokens - 1, how) for (ids, tokens, how), first in zip(drawn, firsts, strict=True)],
            "decode",
        )
        in_two = iter([first + rest for first, rest in zip(firsts, rests, strict=True)])
        greedy = iter(self._generate([request for request in requests if request[2].temperature == 0], "prefill"))
        return [next(in_two if sampling.temperature else greedy) for _, _, sampling in requests]

    def _generate(self, requests: Sequence[Request], phase: Phase) -> list[list[int]]:
        from splitwiser.engine.vllm.sampling import sampling_params

        wanted = [request for request in requests if request[1] > 0]
        prompts = [{"prompt_token_ids": list(ids)} for ids, _, _ in wanted]
        params = [sampling_params(sampling, phase, max_tokens=tokens) for _, tokens, sampling in wanted]
        outputs = iter(self._llm.generate(prompts, params, use_tqdm=False))
        return [list(next(outputs).outputs[0].token_ids) if tokens > 0 else [] for _, tokens, _ in requests]
