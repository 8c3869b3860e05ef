"""One copy of a model's parameters, in one part or two: loaded once, mapped by all, and refused to a stranger."""

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest
import torch

from splitwiser.engine.memory import HOST
from splitwiser.engine.vllm.door import StoreDoor
from splitwiser.engine.vllm.parameters import SharedParameters
from splitwiser.engine.vllm.placement import ON_HOST, WEIGHTS
from splitwiser.errors import StartupError
from splitwiser.memory.local_segments import LocalSegments
from splitwiser.memory.published import Published
from tests.support.sockets import open_fds

TABLE_BYTES = 64 * 16 * 4


class Model(torch.nn.Module):
    """Whose values say whether they were loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(64, 16)
        self.layer = torch.nn.Linear(16, 64)
        self.head = torch.nn.Linear(16, 64, bias=False)
        self.loads = 0

    def load(self) -> None:
        self.loads += 1
        for number, parameter in enumerate(self.parameters()):
            parameter.data.copy_(torch.arange(parameter.numel()).view(parameter.shape) + number)

    @property
    def is_loaded(self) -> bool:
        expected = Model()
        expected.load()
        return all(torch.equal(mine, its) for mine, its in zip(self.parameters(), expected.parameters(), strict=True))


class Stack:
    """Segments on a loop of their own, as a worker's store has them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.segments = LocalSegments()
        self._loop = loop

    def shared(self, host_bytes: int, identity: str = "it") -> SharedParameters:
        return SharedParameters(StoreDoor(self.segments, self._loop), HOST, identity, host_bytes)

    def give(self, host_bytes: int, identity: str = "it") -> Model:
        model = Model()
        self.shared(host_bytes, identity).give(model, model.load)
        return model

    @property
    def published(self) -> dict[str, Published]:
        return self.segments._published


@pytest.fixture
def stack() -> Iterator[Stack]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = Stack(loop)
    yield stack
    stack.segments.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize(
    ("host_bytes", "names"), [(0, [WEIGHTS]), (1, [ON_HOST, WEIGHTS]), (10**9, [ON_HOST, WEIGHTS])]
)
def test_one_loads_and_all_have_the_same_memory(stack: Stack, host_bytes: int, names: list[str]) -> None:
    first, second = stack.give(host_bytes), stack.give(host_bytes)
    assert (first.loads, second.loads) == (1, 0)
    assert first.is_loaded
    assert second.is_loaded
    assert sorted(stack.published) == sorted(names)


def test_what_is_on_the_host_takes_nothing_elsewhere(stack: Stack) -> None:
    stack.give(0)
    all_bytes = stack.published[WEIGHTS].size_bytes
    other = Stack(stack._loop)
    other.give(1)
    assert other.published[ON_HOST].size_bytes == TABLE_BYTES
    assert other.published[WEIGHTS].size_bytes == all_bytes - TABLE_BYTES
    other.segments.close()


@pytest.mark.parametrize("host_bytes", [0, 1])
def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(stack: Stack, host_bytes: int) -> None:
    class Broken(Model):
        def load(self) -> None:
            raise ValueError("no such file")

    before = open_fds()
    for model in (Broken(), Broken()):
        with pytest.raises(ValueError, match="no such file"):
            stack.shared(host_bytes).give(model, model.load)
    assert stack.published == {}
    assert open_fds() == before
    assert stack.give(host_bytes).is_loaded


def test_the_part_that_a_dead_maker_has_left_is_taken(stack: Stack) -> None:
    stack.give(1)
    stack.published.pop(WEIGHTS).close()
    left, before = stack.published[ON_HOST], open_fds()
    heir = stack.give(1)
    assert heir.loads == 1
    assert heir.is_loaded
    assert stack.published[ON_HOST] is left
    # The weights' data and manifest; of the host's part that was made in vain nothing. A mapping has one of its own.
    del heir
    gc.collect()
    assert len(open_fds().keys() - before.keys()) == 2


@pytest.mark.parametrize(("theirs", "mine"), [(0, 1), (1, 0), (1, 2)])
def test_other_settings_are_refused(stack: Stack, theirs: int, mine: int) -> None:
    stack.give(theirs, f"it with {theirs} GiB on the host")
    with pytest.raises(
        StartupError, match=f"with {theirs} GiB on the host, this .* with {mine} GiB on the host"
    ) as error:
        stack.give(mine, f"it with {mine} GiB on the host")
    assert "same settings" in error.value.help


def test_parts_that_do_not_belong_together_are_refused(stack: Stack) -> None:
    stack.give(1)
    other = Stack(stack._loop)
    other.give(10**9)
    stack.published[ON_HOST] = other.published.pop(ON_HOST)
    with pytest.raises(StartupError, match="do not belong together"):
        stack.give(1)
    other.segments.close()
