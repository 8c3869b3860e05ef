"""Owns what the GPU draws while something is measured, and how far that has slowed its clock down. By NVML."""

import threading
from statistics import median
from types import TracebackType
from typing import Any

from splitwiser.mps.gpu import read_gpu

INTERVAL_S = 0.05


class PowerMeter:
    """Use as `with PowerMeter() as meter`, then meter.result()."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml: Any = pynvml
        self._device = pynvml.nvmlDeviceGetHandleByUUID(read_gpu().uuid)
        self._watts: list[float] = []
        self._clocks_mhz: list[int] = []
        self._limited: list[bool] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PowerMeter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        nvml, device = self._nvml, self._device
        while not self._ended.wait(INTERVAL_S):
            self._watts.append(nvml.nvmlDeviceGetPowerUsage(device) / 1000)
            self._clocks_mhz.append(nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM))
            reasons = nvml.nvmlDeviceGetCurrentClocksEventReasons(device)
            self._limited.append(bool(reasons & nvml.nvmlClocksEventReasonSwPowerCap))

    def result(self) -> dict[str, float]:
        """Medians, and the part of the time in which the power limit held the clock down."""
        return {
            "watts": round(median(self._watts), 1),
            "sm_mhz": median(self._clocks_mhz),
            "power_limited": round(sum(self._limited) / len(self._limited), 2),
            "power_limit_watts": self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._device) / 1000,
        }
