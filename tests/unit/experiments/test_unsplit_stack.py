"""The stack of whole engines: refused before anything starts where the GPU is too small for all of its copies."""

from pathlib import Path

import pytest

from splitwiser.config.schema import Settings
from splitwiser.engine.transformers.tiny import make_tiny
from splitwiser.errors import ConfigurationError, StartupError
from splitwiser.experiments.sides.unsplit import UnsplitStack
from tests.support import fake_gpu
from tests.support.sockets import socket_folder

SMALL = fake_gpu.H200.replace("143771, 143100", "8192, 8000")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("models") / "tiny")


async def test_a_gpu_too_small_for_two_is_told_in_bytes(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    fake_gpu.install(monkeypatch, SMALL)
    with socket_folder() as folder:
        settings = Settings.model_validate(
            {
                "run_dir": folder / "run",
                "engine": {"kind": "transformers", "device": "cuda", "model": str(model)},
                "pool": {"pages": 64},
            }
        )
        with pytest.raises(StartupError, match=r"GPU memory: .* = 9\.0 GiB of 7\.8 GiB free"):
            async with UnsplitStack(settings, 3):
                pytest.fail("started")
        assert not list((folder / "run" / "services").iterdir())


async def test_engines_that_cannot_share_weights_are_refused(model: Path) -> None:
    with socket_folder() as folder:
        settings = Settings.model_validate({"run_dir": folder / "run", "engine": {"model": str(model)}})
        with pytest.raises(ConfigurationError, match="the unsplit transformers engine has weights of its own"):
            async with UnsplitStack(settings, 2, shared_weights=True):
                pytest.fail("started")
