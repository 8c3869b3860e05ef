"""Starts one whole engine: called by sides/unsplit.py, with the arguments of a service."""

import sys

from splitwiser.experiments.unsplit.server import serve
from splitwiser.runtime.entry import main

if __name__ == "__main__":
    sys.exit(main("unsplit", serve))
