"""On the GPU too a split model gives the tokens that it gives alone."""

from pathlib import Path
from random import Random

import pytest

from splitwiser.engine.transformers.reference import Reference
from splitwiser.engine.transformers.tiny import make_tiny
from tests.unit.engine.transformers.serving import Request, load_pair, random_requests


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
async def test_greedy_tokens_are_those_of_generate(architecture: str, tmp_path: Path) -> None:
    model = make_tiny(tmp_path / "model", architecture)
    random = Random(5)
    at_borders = [
        Request(tuple(random.randrange(512) for _ in range(length)), 6) for length in (1, 15, 16, 17, 200, 201, 513)
    ]
    requests = at_borders + random_requests(9, seed=6, longest=700, most_tokens=40)
    reference = Reference(str(model), device="cuda")
    expected = [reference.generate(request.prompt_ids, request.tokens) for request in requests]
    async with await load_pair(model, device="cuda") as pair:
        assert await pair.serve(requests) == expected
