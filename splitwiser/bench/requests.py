"""Owns how a planned request becomes a message: a made-up prompt of its length, and an answer of exactly its length."""

from splitwiser.bench.prompts import random_token_ids, random_words
from splitwiser.bench.workload import PlannedRequest
from splitwiser.v1 import inference_pb2, sampling_pb2


class MadeUpRequests:
    """Builds requests for one model. as_text: words for people to read, about a token each; else token ids, exact."""

    def __init__(self, model: inference_pb2.GetModelResponse, *, run: str, as_text: bool = False) -> None:
        self._vocab_size = model.vocab_size
        self._eos_token_ids = frozenset(model.eos_token_ids)
        self._run = run
        self._as_text = as_text

    def build(self, index: int, planned: PlannedRequest) -> inference_pb2.GenerateRequest:
        """The index-th request of the run; greedy, past any end of sequence, with the phases' timings asked for."""
        request = inference_pb2.GenerateRequest(
            request_id=f"{self._run}-{index}",
            sampling=sampling_pb2.SamplingParams(temperature=0),
            stop=sampling_pb2.StopConditions(max_tokens=planned.output_tokens, ignore_eos=True),
            include_timings=True,
        )
        if self._as_text:
            request.text = random_words(planned.prompt_tokens, seed=planned.seed)
        else:
            request.token_ids.ids.extend(self._token_ids(planned))
        return request

    def _token_ids(self, planned: PlannedRequest) -> list[int]:
        return random_token_ids(
            planned.prompt_tokens, vocab_size=self._vocab_size, excluded=self._eos_token_ids, seed=planned.seed
        )
