"""Entry of the decode process."""

import sys

from services.decode.server import serve
from splitwiser.engine.factory import prepare
from splitwiser.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main("decode", serve, prepare))
