"""Entry of the router process."""

import sys

from services.router.server import serve
from splitwiser.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main("router", serve))
