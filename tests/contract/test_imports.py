"""What a process loads: import-linter reads the source, this runs it."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "vllm", "numpy")


def loaded_by(module: str) -> set[str]:
    """Top-level names of everything that importing the module loads, in a fresh interpreter."""
    code = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize("service", ["router", "prefill", "decode", "store"])
def test_a_service_starts_without_torch(service: str) -> None:
    """Prefill and decode load it with their engine, the other two never."""
    assert loaded_by(f"services.{service}.__main__").isdisjoint(HEAVY)


def test_the_store_knows_neither_grpc_nor_redis() -> None:
    assert loaded_by("splitwiser.store.server").isdisjoint({"grpc", "redis", "pydantic"})


def test_the_command_line_starts_without_the_libraries_of_its_commands() -> None:
    """`splitwiser --help` answers at once."""
    assert loaded_by("splitwiser.cli.main").isdisjoint({*HEAVY, "grpc", "redis", "structlog", "opentelemetry"})
