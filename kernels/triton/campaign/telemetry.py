"""What the driver says of the device while it works: clocks, power, temperature. Silent without pynvml."""

from __future__ import annotations

from statistics import median
from types import ModuleType
from typing import Any


class Telemetry:
    """Samples of one device, collected since the last `take`."""

    def __init__(self, device: str = "cuda") -> None:
        self._samples: list[tuple[int, float, int]] = []
        self._nvml: ModuleType | None = None
        self._handle: Any = None
        if device == "cpu":
            return
        try:
            import pynvml  # type: ignore[import-not-found]

            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            self._nvml = pynvml
        except Exception:  # no library, no driver, or no right to ask: the records then say nothing of clocks
            self._nvml = None

    def device(self) -> dict[str, Any]:
        """Driver, and the highest clocks and power that the device allows."""
        nvml = self._nvml
        if nvml is None:
            return {}
        try:
            return self._device(nvml)
        except nvml.NVMLError:
            return {}

    def _device(self, nvml: ModuleType) -> dict[str, Any]:
        driver = nvml.nvmlSystemGetDriverVersion()
        return {
            "driver": driver.decode() if isinstance(driver, bytes) else driver,
            "max_sm_mhz": nvml.nvmlDeviceGetMaxClockInfo(self._handle, nvml.NVML_CLOCK_SM),
            "max_memory_mhz": nvml.nvmlDeviceGetMaxClockInfo(self._handle, nvml.NVML_CLOCK_MEM),
            "power_limit_w": nvml.nvmlDeviceGetEnforcedPowerLimit(self._handle) / 1e3,
        }

    def sample(self) -> None:
        """Ask once."""
        nvml = self._nvml
        if nvml is None:
            return
        try:
            clock = nvml.nvmlDeviceGetClockInfo(self._handle, nvml.NVML_CLOCK_SM)
            power = nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3
            temperature = nvml.nvmlDeviceGetTemperature(self._handle, nvml.NVML_TEMPERATURE_GPU)
        except nvml.NVMLError:
            self._nvml = None
        else:
            self._samples.append((clock, power, temperature))

    def take(self) -> dict[str, Any]:
        """Medians of the samples since the last call, and forget them. Clocks in MHz, power in W, temperature in C."""
        samples, self._samples = self._samples, []
        if not samples:
            return {}
        clocks, powers, temperatures = zip(*samples, strict=True)
        return {
            "sm_mhz": median(clocks),
            "sm_mhz_range": [min(clocks), max(clocks)],
            "power_w": round(median(powers), 1),
            "temperature_c": median(temperatures),
        }
