"""Entry of the prefill process."""

import sys

from services.prefill.server import serve
from splitwiser.engine.factory import prepare
from splitwiser.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main("prefill", serve, prepare))
