"""Entry of the store process."""

import sys

from services.store.server import serve
from splitwiser.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main("store", serve))
