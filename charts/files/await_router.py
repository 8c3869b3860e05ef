"""Ends when the release's router can be reached: its Service leads to ready pods, and to nothing while none is."""

import os
import socket
import sys
import time

PATIENCE_S = 900.0

host, _, port = os.environ["ROUTER"].rpartition(":")
deadline_s = time.monotonic() + PATIENCE_S
while True:
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        break
    except OSError as error:
        if time.monotonic() > deadline_s:
            sys.exit(f"error: no router answers at {host}:{port}: {error}\nhelp: see why its pods are not ready")
        time.sleep(1)
