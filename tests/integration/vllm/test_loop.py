"""An engine that ends or breaks: its requests, which give their pages away, hear of it when no step is left."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from splitwiser.errors import Draining, SplitwiserError, WorkerLost
from tests.support.waiting import until

# vLLM's import meets what torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore")

STEP_S = 0.2


class Device:
    """A stand-in for a GPU's stream: steps are launched at once, and computed one after the other by who waits."""

    def __init__(self) -> None:
        self.launched = self.computed = 0

    def launch(self) -> int:
        """The number of that step."""
        self.launched += 1
        return self.launched

    def wait_for(self, step: int) -> None:
        """Until that step is over."""
        time.sleep(max(0, step - self.computed) * STEP_S)
        self.computed = max(step, self.computed)

    def synchronize(self) -> None:
        """As torch's."""
        assert threading.current_thread().name.startswith("vllm"), "another thread has another stream"
        self.wait_for(self.launched)


class StandIn:
    """What Core has of an EngineCore that schedules asynchronously, and of its scheduler, with one endless request."""

    vllm_config = structured_output_manager = None

    def __init__(self, device: Device, steps: int) -> None:
        """It breaks after so many steps."""
        self.scheduler = self
        self.step_tokens: Mapping[str, int] = {}
        self.batch_queue: deque[int] = deque()
        self._device = device
        self._steps = steps

    def step_fn(self) -> tuple[None, bool]:
        self.batch_queue.append(self._device.launch())
        if len(self.batch_queue) == 2:
            self._device.wait_for(self.batch_queue.popleft())
            self.step_tokens = {"0": 1}
            self._steps -= 1
        if not self._steps:
            raise ValueError("broken")
        return None, True

    def admit(self, *admission: object) -> None:
        """Nothing to note."""

    def has_requests(self) -> bool:
        return True

    def take_returned(self) -> list[str]:
        return []


@pytest.mark.parametrize(("steps", "error"), [(99, Draining), (2, WorkerLost)])
async def test_requests_hear_of_the_end_when_no_step_is_left(
    monkeypatch: pytest.MonkeyPatch, steps: int, error: type[SplitwiserError]
) -> None:
    import torch

    from splitwiser.engine.vllm.core import Admission, Core, EngineThread
    from splitwiser.engine.vllm.loop import CoreLoop, Member

    device = Device()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: device)
    core: Any = StandIn(device, steps)
    loop = CoreLoop("decode", Core(EngineThread(), core), lambda *step: None)
    request: Any = SimpleNamespace(request_id="0")
    loop.add(Member("a", Admission(request, (0,), 0), lambda step: None, lambda: None))
    outcome = loop.outcomes.expect()
    running = asyncio.create_task(loop.run())
    if error is Draining:
        await until(lambda: device.computed >= 2)
        running.cancel()
    await asyncio.wait([outcome])
    assert isinstance(outcome.exception(), error)
    assert device.launched == device.computed > 1
    await asyncio.wait([running])
