"""What every local user can read of a measurement's child processes: no password."""

from contextlib import AbstractAsyncContextManager

import psutil
import pytest

from experiments.gpu.stack import starts_of
from splitwiser.bench.prefix.unsplit import unsplit_vllm
from splitwiser.bench.verify.reference import reference_for
from splitwiser.config.schema import EngineSettings, PoolSettings, RedisSettings, Settings

SETTINGS = Settings(
    engine=EngineSettings(kind="vllm", model="mine"),
    pool=PoolSettings(pages=77),
    redis=RedisSettings(password="hunter2"),
)


@pytest.mark.parametrize("child", [unsplit_vllm, reference_for])
async def test_a_child_is_told_no_more_than_it_reads(child: object) -> None:
    opened: AbstractAsyncContextManager[object] = child(SETTINGS)  # type: ignore[operator]
    before = set(psutil.Process().children())
    async with opened:
        (process,) = set(psutil.Process().children()) - before
        told = settings_in(process.cmdline())
    assert (told.engine, told.pool) == (SETTINGS.engine, SETTINGS.pool)
    assert told.redis.password == ""


def test_a_probe_on_a_gpu_is_not_told_the_password() -> None:
    for arguments in starts_of(SETTINGS).values():
        assert settings_in(arguments) == SETTINGS.model_copy(update={"redis": RedisSettings()})


def settings_in(arguments: "tuple[str, ...] | list[str]") -> Settings:
    (found,) = [argument for argument in arguments if argument.startswith("{")]
    return Settings.model_validate_json(found)
