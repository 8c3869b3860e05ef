"""Entry of the single process."""

import sys

from services.single.server import serve
from splitwiser.engine.factory import prepare
from splitwiser.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main("single", serve, prepare))
