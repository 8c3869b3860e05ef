"""What vLLM is told through the environment, and what it takes for tokens that do not hang on the batch."""

import os

import pytest

from splitwiser.config.schema import EngineSettings
from splitwiser.engine.vllm.environment import compilation, prepare_environment

INVARIANT = ("VLLM_BATCH_INVARIANT", "VLLM_USE_BREAKABLE_CUDAGRAPH", "VLLM_FLOAT32_MATMUL_PRECISION")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    monkeypatch.setattr(os, "environ", kept)


def engine(**fields: object) -> EngineSettings:
    return EngineSettings.model_validate({"kind": "vllm", **fields})


def test_invariant_kernels_come_without_compiled_code_that_would_replace_them() -> None:
    invariant = engine(device="cuda", batch_invariant=True)
    prepare_environment(invariant)
    assert [os.environ[name] for name in INVARIANT] == ["1", "0", "highest"]
    assert compilation(invariant) == {"mode": 0}


@pytest.mark.parametrize("fields", [{"device": "cuda"}, {"device": "cpu", "batch_invariant": True}])
def test_without_them_or_on_a_cpu_vllm_chooses(fields: dict[str, object]) -> None:
    prepare_environment(engine(**fields))
    assert not set(INVARIANT) & os.environ.keys()
    assert compilation(engine(**fields)) == {}


def test_a_value_that_is_there_stays() -> None:
    os.environ["VLLM_LOGGING_LEVEL"] = "DEBUG"
    prepare_environment(engine())
    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"
