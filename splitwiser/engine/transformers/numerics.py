"""Owns how a worker's arithmetic is set up: its threads, and that a token's result does not hang on its batch.

MKL picks another kernel, and so another order of summing, for one row than for sixteen: a request would get other last
bits, and now and then another token, when its neighbours change. In MKL's strict reproducible mode
(https://www.intel.com/content/www/us/en/docs/onemkl/developer-guide-linux/2024-2/obtaining-numerically-reproducible-results.html)
a row's result is the same in a batch of any size, or alone in `generate`. It costs nothing from 16 rows on, and up to
three times a product of one row. Where the processor or the library has no such mode, results differ by rounding alone.
"""

import os

import torch


def set_up_arithmetic(threads: int) -> None:
    """Call on each thread that computes, before its first matrix product. threads: of one operation.

    MKL reads its mode once, from MKL_CBWR; a value that the environment has already stays.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    torch.set_num_threads(threads)


def torch_dtype(name: str) -> torch.dtype:
    """torch's type of that name, such as float32."""
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype), name
    return dtype
