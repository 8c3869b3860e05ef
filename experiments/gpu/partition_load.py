"""One side's work that needs no memory; called by partition.py.

Run as `python -m experiments.gpu.partition_load SIDE SMS`. Prints {"sm_count"}, then for each line of stdin,
{"seconds": how long}, one with its rate.
"""

import json
import sys
import time

import torch

from splitwiser.mps.partition import confine

ELEMENTS = 1 << 22
"""16 MiB, which stay in the second cache of any GPU that has green contexts and this many multiprocessors."""


def main(side: str, sms: str) -> None:
    sm_count = confine(side, int(sms))  # type: ignore[arg-type]
    values = torch.rand(ELEMENTS, device="cuda")
    work(values)
    print(json.dumps({"sm_count": sm_count}), flush=True)
    for command in sys.stdin:
        seconds, started, count = json.loads(command)["seconds"], time.monotonic(), 0
        while time.monotonic() - started < seconds:
            work(values)
            count += 1
        print(json.dumps({"per_s": count / (time.monotonic() - started)}), flush=True)


def work(values: torch.Tensor) -> None:
    """Some hundred instructions for each element that is read."""
    for _ in range(20):
        torch.lgamma(values)
    torch.cuda.current_stream().synchronize()


if __name__ == "__main__":
    main(*sys.argv[1:])
