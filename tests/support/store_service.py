"""Owns the store's service as a process of its own, for tests."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from splitwiser.config.schema import Settings, StoreSettings
from splitwiser.stack.card import Card, read_card
from tests.support.waiting import PATIENCE_S


def store_command(run_dir: Path, *flags: str, lease_s: float = 120.0) -> list[str]:
    """How the store of this folder is started. It kills a worker that is silent for so long: even a test, as one."""
    config = run_dir / "resolved.json"
    config.write_text(Settings(run_dir=run_dir, store=StoreSettings(beat_s=0.1, lease_s=lease_s)).model_dump_json())
    return [sys.executable, "-m", "services.store", "--config", str(config), "--instance", "store", *flags]


@asynccontextmanager
async def store_service(
    run_dir: Path, *flags: str, lease_s: float = 120.0
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Card]]:
    """A store process that is ready, and its card; killed at the end unless it has ended."""
    process = await asyncio.create_subprocess_exec(*store_command(run_dir, *flags, lease_s=lease_s))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (card := read_card(run_dir, "store")):
                assert process.returncode is None
                await asyncio.sleep(0.01)
        yield process, card
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
