"""Which of the library's architectures are served, and that those which are not say so before they serve."""

from pathlib import Path

import pytest

from splitwiser.engine.transformers.build import load
from splitwiser.engine.transformers.reference import Reference
from splitwiser.errors import StartupError
from splitwiser.memory.local_segments import LocalSegments
from tests.unit.engine.transformers.architectures import ATTENTION, CACHE, REFUSED, make_small
from tests.unit.engine.transformers.serving import load_pair, requests_of, settings_of

pytestmark = pytest.mark.filterwarnings("ignore")  # Of models that the library keeps as they were.


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ATTENTION + CACHE)
async def test_split_equals_unsplit(architecture: str, tmp_path: Path) -> None:
    model = make_small(tmp_path, architecture)
    requests = requests_of((1, 17, 60, 130), tokens=10, seed=3)
    reference = Reference(str(model))
    expected = [reference.generate(request.prompt_ids, request.tokens) for request in requests]
    async with await load_pair(model, chunk_tokens=70) as pair:
        assert await pair.serve(requests) == expected
        assert pair.interface == ("attention" if architecture in ATTENTION else "cache")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", REFUSED)
async def test_what_pages_cannot_hold_is_refused(architecture: str, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=REFUSED[architecture]) as caught:
        await load(settings_of(make_small(tmp_path, architecture), pages=64), LocalSegments())
    assert caught.value.help
