"""What NVIDIA's management library says of a GPU while a program runs: clocks, power, temperature, throttling.

Read only. Through ctypes, so that no package is needed; where the library is missing or refuses, there are no readings.
"""

from __future__ import annotations

import ctypes
import threading
import time
from types import TracebackType
from typing import Any

EVERY_S = 0.02
FIELDS = ("seconds", "sm_mhz", "memory_mhz", "power_w", "temperature_c", "throttle_reasons")


class Watch:
    """Readings every EVERY_S while in a ``with`` block: `readings` lists FIELDS, with None for what is refused."""

    def __init__(self, uuid: str) -> None:
        self.readings: list[list[float | None]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._library: Any = None
        self._device = ctypes.c_void_p()
        try:
            library = ctypes.CDLL("libnvidia-ml.so.1")
            if library.nvmlInit_v2() == 0:
                name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
                if library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(self._device)) == 0:
                    self._library = library
        except (OSError, AttributeError):
            pass

    def __enter__(self) -> Watch:
        if self._library is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def limits(self) -> dict[str, float | None]:
        """The most that clocks may be (MHz), and the power limit (W)."""
        if self._library is None:
            return {}
        return {
            "sm_mhz": self._number("nvmlDeviceGetMaxClockInfo", 1),
            "memory_mhz": self._number("nvmlDeviceGetMaxClockInfo", 2),
            "power_w": self._thousandth(self._number("nvmlDeviceGetEnforcedPowerLimit")),
        }

    def _loop(self) -> None:
        begin = time.perf_counter()
        while not self._stop.is_set() and len(self.readings) < 1000:
            self.readings.append(
                [
                    round(time.perf_counter() - begin, 4),
                    self._number("nvmlDeviceGetClockInfo", 1),
                    self._number("nvmlDeviceGetClockInfo", 2),
                    self._thousandth(self._number("nvmlDeviceGetPowerUsage")),
                    self._number("nvmlDeviceGetTemperature", 0),
                    self._number("nvmlDeviceGetCurrentClocksThrottleReasons", wide=True),
                ]
            )
            self._stop.wait(EVERY_S)

    def _number(self, function: str, *arguments: int, wide: bool = False) -> float | None:
        found = ctypes.c_ulonglong() if wide else ctypes.c_uint()
        try:
            code = getattr(self._library, function)(
                self._device, *(ctypes.c_uint(one) for one in arguments), ctypes.byref(found)
            )
        except AttributeError:
            return None
        return None if code else float(found.value)

    @staticmethod
    def _thousandth(value: float | None) -> float | None:
        return None if value is None else value / 1e3
