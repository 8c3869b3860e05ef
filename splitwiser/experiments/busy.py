"""Owns how busy the device is while something is measured: SM activity of a GPU by NVML, else of the machine's CPUs.

On Hopper and later NVML's GPM metrics give SM activity and DRAM throughput; before, the share of time in which any
kernel ran stands for it, which says less: the series' names tell which it is.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from splitwiser.errors import StartupError
from splitwiser.mps.gpu import read_gpu

EVERY_S = 0.1
Series = dict[str, list[tuple[float, float]]]
Probe = Callable[[], dict[str, float]]
"""Percent since it was called last, by name."""


@asynccontextmanager
async def sampled(device: str) -> AsyncIterator[Series]:
    """Series that grow for the length of the block; the first value stands for the first EVERY_S."""
    probe = (_gpu_probe() if device == "cuda" else None) or _cpu_probe()
    series: Series = {}
    sampling = asyncio.create_task(_sample(probe, series))
    try:
        yield series
    finally:
        sampling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sampling


async def _sample(probe: Probe, series: Series) -> None:
    started_s = time.perf_counter()
    await asyncio.to_thread(probe)
    while True:
        await asyncio.sleep(EVERY_S)
        values = await asyncio.to_thread(probe)
        at_ms = (time.perf_counter() - started_s) * 1e3
        for name, value in values.items():
            series.setdefault(name, []).append((at_ms, value))


def _cpu_probe() -> Probe:
    last = _cpu_ticks()

    def probe() -> dict[str, float]:
        nonlocal last
        now = _cpu_ticks()
        busy, whole = (b - a for a, b in zip(last, now, strict=True))
        last = now
        return {"CPU busy %": 100.0 * busy / whole if whole else 0.0}

    return probe


def _cpu_ticks() -> tuple[int, int]:
    """Busy and all, of all cores, since the machine started (proc(5))."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _gpu_probe() -> Probe | None:
    """None without NVML's Python binding (nvidia-ml-py), or where NVML does not answer."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        # NVML numbers all GPUs of the machine, whatever CUDA_VISIBLE_DEVICES leaves.
        device = pynvml.nvmlDeviceGetHandleByUUID(read_gpu().uuid)
        return _gpm_probe(pynvml, device) or _utilization_probe(pynvml, device)
    except (pynvml.NVMLError, StartupError):
        return None


def _utilization_probe(nvml: Any, device: Any) -> Probe:
    def probe() -> dict[str, float]:
        return {"GPU any kernel %": float(nvml.nvmlDeviceGetUtilizationRates(device).gpu)}

    return probe


def _gpm_probe(nvml: Any, device: Any) -> Probe | None:
    try:
        if not nvml.nvmlGpmQueryDeviceSupport(device).isSupportedDevice:
            return None
        samples = [nvml.nvmlGpmSampleAlloc(), nvml.nvmlGpmSampleAlloc()]
        nvml.nvmlGpmSampleGet(device, samples[0])
    except (nvml.NVMLError, AttributeError):
        return None
    wanted = {"SM activity %": nvml.NVML_GPM_METRIC_SM_UTIL, "DRAM %": nvml.NVML_GPM_METRIC_DRAM_BW_UTIL}

    def probe() -> dict[str, float]:
        nvml.nvmlGpmSampleGet(device, samples[1])
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version, request.numMetrics = nvml.NVML_GPM_METRICS_GET_VERSION, len(wanted)
        request.sample1, request.sample2 = samples
        for place, metric in enumerate(wanted.values()):
            request.metrics[place].metricId = metric
        nvml.nvmlGpmMetricsGet(request)
        samples.reverse()
        return {name: float(request.metrics[place].value) for place, name in enumerate(wanted)}

    return probe
