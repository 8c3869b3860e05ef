"""The program that measures matrix products: each shape's relative error, in the process that has the cap to be judged.

Called as `python -m splitwiser.mps.gemm` with a Job as JSON on stdin; prints one JSON line. A product is checked by
Freivalds' method (Probabilistic machines can use less running time, 1977): C·x against A·(B·x) for random signs x. The
norm of the difference is that of C's error, and the check itself is elementwise in float64: nothing of the library
that is under suspicion judges it.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch

from splitwiser.mps.gate import NOT_A_NUMBER
from splitwiser.mps.partition import confine

VECTORS = 16
"""With fewer, one row's estimate would now and then be far off."""
POISON = 2.0**15
"""Lies in the output before, as NaN does the next time: what a kernel leaves unwritten, or adds to, must show."""
_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True, slots=True)
class Product:
    """[m, k] times a weight of [n, k]. error: relative, in the Frobenius norm; unwritten: part of the output."""

    m: int
    n: int
    k: int
    error: float
    unwritten: float


def main() -> None:
    """{"device": "cuda", "dtype": "bfloat16", "rows": [m, ...], "shapes": [[n, k], ...]} -> sm_count, products.

    "side" and "sms": the partition to measure in.
    """
    job = json.load(sys.stdin)
    device = torch.device(job["device"])
    dtype = getattr(torch, job["dtype"])
    torch.manual_seed(0)
    confined_to = confine(job["side"], job["sms"]) if job.get("sms") else 0
    products = [each for n, k in job["shapes"] for each in measure(n, k, job["rows"], dtype, device)]
    properties = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    sm_count = confined_to or (properties.multi_processor_count if properties else 0)
    print(json.dumps({"sm_count": sm_count, "products": [asdict(each) for each in products]}))


def measure(n: int, k: int, rows: Sequence[int], dtype: torch.dtype, device: torch.device) -> Iterator[Product]:
    """For each m the worst that the library makes of [m, k] times a weight of [n, k]."""
    weight = torch.randn(n, k, device=device).to(dtype)
    for m in rows:
        inputs = torch.randn(m, k, device=device).to(dtype)
        outputs = [_product(inputs, weight, poison) for poison in (POISON, math.nan)]
        error = max(relative_error(inputs, weight, output) for output in outputs)
        yield Product(m, n, k, error, unwritten=float((outputs[0] == POISON).double().mean()))


def _product(inputs: torch.Tensor, weight: torch.Tensor, poison: float) -> torch.Tensor:
    output = torch.full((inputs.shape[0], weight.shape[0]), poison, device=inputs.device, dtype=inputs.dtype)
    return torch.matmul(inputs, weight.T, out=output)


def relative_error(inputs: torch.Tensor, weight: torch.Tensor, output: torch.Tensor) -> float:
    """The Frobenius norm of output - inputs @ weight.T over that of the product, estimated."""
    signs = torch.randint(0, 2, (VECTORS, weight.shape[0]), device=weight.device).double() * 2 - 1
    wrong = right = 0.0
    for sign in signs:
        expected = _times(inputs, _times(weight.T, sign))
        wrong += float((_times(output, sign) - expected).square().sum())
        right += float(expected.square().sum())
    error = math.sqrt(wrong / right)
    return error if error < NOT_A_NUMBER else NOT_A_NUMBER


def _times(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """matrix @ vector in float64, by multiplying and summing alone."""
    parts = matrix.split(_ROWS_AT_A_TIME)
    return torch.cat([(part.double() * vector).sum(dim=1) for part in parts])


if __name__ == "__main__":
    main()
