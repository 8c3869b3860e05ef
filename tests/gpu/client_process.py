"""A process for tests that opens the GPU, says so, and waits for the end of its input. Without torch."""

import json
import os
import sys

from splitwiser.memory.cuda.device import open_device

if __name__ == "__main__":
    device = open_device()
    print(json.dumps({"pid": os.getpid(), "free": device.free_bytes()}), flush=True)
    sys.stdin.read()
