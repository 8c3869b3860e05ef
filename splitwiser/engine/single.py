"""Owns what two phases in one process share: the loaded model, and the turn that only one of them has at a time."""

import asyncio

from splitwiser.config.schema import Settings
from splitwiser.engine.base import Phase
from splitwiser.engine.factory import Loaded, load
from splitwiser.memory.segment import Segments


class SharedModel:
    """Loaded by the phase that asks first. Two phases with work alternate: the turn is first come, first served."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._loaded: Loaded | None = None

    async def load(self, settings: Settings, segments: Segments, phase: Phase) -> Loaded:
        """As factory.load, once. Raises StartupError for an engine that cannot run both phases in one process."""
        async with self._loading:
            if self._loaded is None:
                self._loaded = await load(settings, segments, phase, turn=self._turn)
            return self._loaded
