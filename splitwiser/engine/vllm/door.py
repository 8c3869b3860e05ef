"""Owns the store's segments for code that runs on another thread than the loop that talks to the store."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue

from splitwiser.kv.layout import PoolLayout
from splitwiser.memory.segment import Made, Mapper, Segment, Segments


class StoreDoor:
    """Waits on its own thread for what the loop obtains."""

    def __init__(self, segments: Segments, loop: asyncio.AbstractEventLoop) -> None:
        self._segments = segments
        self._loop = loop

    def weights(self, name: str, make: Callable[[], Made], mapper: Mapper | None = None) -> Segment:
        """A segment of weights, mapped; made by make, on this thread, if the stack has none. mapper: as in Segments."""
        return self._wait_for(name, make, mapper=mapper)

    def pool(self, layout: PoolLayout, make: Callable[[PoolLayout], Made]) -> Segment:
        """The pool, mapped; made by make if the stack has none."""
        return self._wait_for("pool", partial(make, layout), layout)

    def _wait_for(
        self,
        name: str,
        make: Callable[[], Made],
        layout: PoolLayout | None = None,
        mapper: Mapper | None = None,
    ) -> Segment:
        # The store's client makes in a thread of its choice, but what vLLM does in make leans on the state of its own.
        turns: SimpleQueue[Future[Made] | None] = SimpleQueue()

        def make_here() -> Made:
            made = Future[Made]()
            turns.put(made)
            return made.result()

        obtaining = self._segments.obtain(name, make_here, layout=layout, mapper=mapper)
        obtained = asyncio.run_coroutine_threadsafe(obtaining, self._loop)
        obtained.add_done_callback(lambda _: turns.put(None))
        while made := turns.get():
            try:
                made.set_result(make())
            except BaseException as error:
                made.set_exception(error)
        return obtained.result()
