"""Sides that are up together share one MPS daemon; one alone has its own."""

from pathlib import Path

import pytest

from splitwiser.config.schema import Settings
from splitwiser.experiments.sides.daemon import one_daemon
from splitwiser.mps.control import Control
from tests.support import fake_gpu


@pytest.fixture(autouse=True)
def fake_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.H200)


def side(device: str = "cuda", **gpu: object) -> Settings:
    return Settings.model_validate({"engine": {"device": device}, "gpu": gpu})


async def test_several_are_led_to_one_that_ends_with_them() -> None:
    sides = {"a": side(), "turns": side(sharing="time-slice"), "b": side(prefill_priority="normal"), "cpu": side("cpu")}
    async with one_daemon(sides) as led:
        control = Control(Path(led["a"].gpu.mps_pipe_dir), Path(led["a"].gpu.mps_pipe_dir))
        assert control.is_running()
        assert led["b"].gpu.mps_pipe_dir == led["a"].gpu.mps_pipe_dir
        assert led["b"].gpu.prefill_priority == "normal"
        assert (led["turns"], led["cpu"]) == (sides["turns"], sides["cpu"])
    assert not control.is_running()


async def test_one_alone_and_named_ones_are_left_as_they_are() -> None:
    sides = {"a": side(), "named": side(mps_pipe_dir="/somewhere")}
    async with one_daemon(sides) as led:
        assert led == sides
