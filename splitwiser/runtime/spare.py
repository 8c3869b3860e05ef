"""Owns the life of a spare: a worker's process that is past its imports and waits for the word to become the worker.

Until then it holds no memory of the model, no page, no socket and no GPU: it can be killed at any time, and its
starter's end is its own.
"""

import sys
from collections.abc import Callable

from splitwiser.stack.process import GO_ON


def stand_by(prepare: Callable[[], None]) -> bool:
    """Prepare, then wait for the word; False when standard input ends without it.

    Lines before it are taken and mean nothing: that they are taken shows the starter that the spare waits.
    """
    prepare()
    return any(line == GO_ON for line in sys.stdin.buffer)
