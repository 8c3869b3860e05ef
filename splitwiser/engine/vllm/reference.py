"""Owns the right answers: the same model in one unsplit vLLM, with weights, cache and scheduler of its own."""

from collections.abc import Sequence
from typing import Any

from splitwiser.config.schema import EngineSettings
from splitwiser.engine.base import Phase, Sampling
from splitwiser.engine.vllm.environment import own_offload, prepare_environment

Request = tuple[Sequence[int], int, Sampling]
"""Prompt ids, how many tokens to generate, and how they are drawn."""


class Reference:
    """vLLM's own offline engine. pages: of its cache."""

    def __init__(self, engine: EngineSettings, *, page_tokens: int, pages: int) -> None:
        prepare_environment(engine)
        from vllm import LLM

        self._llm: Any = LLM(
            engine.model,
            dtype=engine.dtype,
            block_size=page_tokens,
            num_gpu_blocks_override=pages,
            # It stands for a measurement of free memory, which may be another process's a moment later.
            kv_cache_memory_bytes=1,
            gpu_memory_utilization=0.001,
            skip_tokenizer_init=True,
            # Not compiled where the split is not, see environment.py; CUDA graphs change no number.
            enforce_eager=engine.device == "cpu" or engine.batch_invariant,
            **own_offload(engine),
        )
        self._by_position = bool(self._llm.llm_engine.vllm_config.use_v2_model_runner)

    def answers(self, requests: Sequence[Request]) -> list[list[int]]:
        """The next tokens of each prompt, whatever they are; those that are drawn, as the two phases draw them."""
        if self._by_position:
            return self._generate(requests, "prefill")
        drawn = [request for request in requests if request[2].temperature > 0]
        firsts = self._generate([(ids, 1, sampling) for ids, _, sampling in drawn], "prefill")
        rests = self._generate(
            [((*ids, *first), tokens - 1, how) for (ids, tokens, how), first in zip(drawn, firsts, strict=True)],
            "decode",
        )
        in_two = iter([first + rest for first, rest in zip(firsts, rests, strict=True)])
        greedy = iter(self._generate([request for request in requests if request[2].temperature == 0], "prefill"))
        return [next(in_two if sampling.temperature else greedy) for _, _, sampling in requests]

    def turns(self, prompts: Sequence[Sequence[int]], tokens: int) -> list[tuple[list[int], int]]:
        """The next tokens of each prompt, greedily, and how many tokens of it were in vLLM's own prefix cache."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        outputs = self._llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], params, use_tqdm=False)
        return [(list(output.outputs[0].token_ids), output.num_cached_tokens or 0) for output in outputs]

    def _generate(self, requests: Sequence[Request], phase: Phase) -> list[list[int]]:
        from splitwiser.engine.vllm.sampling import request_seed, sampling_params

        wanted = [request for request in requests if request[1] > 0]
        prompts = [{"prompt_token_ids": list(ids)} for ids, _, _ in wanted]
        params = [
            sampling_params(how, request_seed(how.seed, phase, by_position=self._by_position), max_tokens=tokens)
            for _, tokens, how in wanted
        ]
        outputs = iter(self._llm.generate(prompts, params, use_tqdm=False))
        return [list(next(outputs).outputs[0].token_ids) if tokens > 0 else [] for _, tokens, _ in requests]
