"""The one process of a verification that loads torch: makes models, and answers requests with a model unsplit.

Called as `python -m splitwiser.bench.verify.torch_process`. Every line of stdin is a job: [folder, architecture] makes
a model and prints null; [model, [[prompt ids, tokens, sampling], ...]] prints one line of token ids a request.
"""

import json
import sys
from pathlib import Path
from typing import Any

from splitwiser.engine.base import Sampling
from splitwiser.engine.transformers.reference import Reference
from splitwiser.engine.transformers.tiny import make_tiny


def main() -> None:
    """Work until stdin ends."""
    for line in sys.stdin:
        model, work = json.loads(line)
        if isinstance(work, str):
            make_tiny(Path(model), work)
            print("null", flush=True)
        else:
            _answer(Reference(model), work)


def _answer(reference: Reference, requests: list[tuple[list[int], int, dict[str, Any]]]) -> None:
    for prompt_ids, tokens, fields in requests:
        sampling = Sampling(**fields)
        greedy = sampling.temperature == 0
        answer = reference.generate(prompt_ids, tokens) if greedy else reference.sample(prompt_ids, tokens, sampling)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
