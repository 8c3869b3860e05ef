"""The one process of a verification that loads torch: makes models, and answers requests with a model unsplit.

Called as `python -m splitwiser.bench.verify.torch_process SETTINGS`, as JSON. Every line of stdin is a job: [folder,
architecture] makes a model and prints null; [model, [[prompt ids, tokens, sampling], ...]] prints one line of token ids
a request.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from splitwiser.config.schema import Settings
from splitwiser.engine.base import Sampling

Requests = Sequence[tuple[Sequence[int], int, Sampling]]


def main() -> None:
    """Work until stdin ends."""
    settings = Settings.model_validate_json(sys.argv[1])
    answers = {"transformers": _by_transformers, "vllm": _by_vllm}[settings.engine.kind]
    for line in sys.stdin:
        model, work = json.loads(line)
        if isinstance(work, str):
            _make(model, work)
            print("null", flush=True)
            continue
        for answer in answers(settings, model, [(ids, tokens, Sampling(**fields)) for ids, tokens, fields in work]):
            print(json.dumps(answer), flush=True)


def _make(folder: str, architecture: str) -> None:
    from splitwiser.engine.transformers.tiny import make_tiny

    make_tiny(Path(folder), architecture)


def _by_transformers(settings: Settings, model: str, requests: Requests) -> Iterator[list[int]]:
    from splitwiser.engine.transformers.reference import Reference

    reference = Reference(model)
    for prompt_ids, tokens, sampling in requests:
        greedy = sampling.temperature == 0
        yield reference.generate(prompt_ids, tokens) if greedy else reference.sample(prompt_ids, tokens, sampling)


def _by_vllm(settings: Settings, model: str, requests: Requests) -> Iterator[list[int]]:
    from splitwiser.engine.vllm.reference import Reference

    engine, pool = settings.engine.model_copy(update={"model": model}), settings.pool
    reference = Reference(engine, page_tokens=pool.page_tokens, pages=pool.pages)
    yield from reference.answers(requests)


if __name__ == "__main__":
    main()
