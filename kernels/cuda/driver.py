"""The CUDA driver through ctypes: machine code into the context that PyTorch uses, and launches on its stream."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lightbound.base.errors import LightboundError

from .assemble import AssemblyError, assemble
from .ptx import Program, module

MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
ATTRIBUTES: Mapping[str, int] = {
    "registers_of_block": 12,
    "clock_khz": 13,
    "multiprocessors": 16,
    "memory_clock_khz": 36,
    "memory_bus_bits": 37,
    "l2_bytes": 38,
    "threads_of_multiprocessor": 39,
    "major": 75,
    "minor": 76,
    "shared_of_multiprocessor_bytes": 81,
    "registers_of_multiprocessor": 82,
    "shared_of_block_bytes": 97,
    "blocks_of_multiprocessor": 106,
    "shared_reserved_of_block_bytes": 111,
}
"""CUdevice_attribute, by what it says."""


class DriverError(Exception):
    """A call of the driver failed. After most of them the context is of no further use."""

    def __init__(self, call: str, code: int, text: str) -> None:
        super().__init__(f"{call}: {text} ({code})")
        self.code = code


class Driver:
    """A GPU: its properties, and programs that are loaded on it. Raises LightboundError where there is none."""

    def __init__(self, index: int = 0) -> None:
        try:
            import torch
        except ImportError as error:
            raise LightboundError(
                "probe", "cuda", "needs PyTorch, which is not installed", "Install it: pip install 'lightbound[torch]'."
            ) from error
        if not torch.cuda.is_available():
            raise LightboundError(
                "probe", "cuda", "finds no NVIDIA GPU (torch.cuda.is_available() is false)",
                "Run it where there is one, or turn results from there into a machine with --from FILE.json.",
            )  # fmt: skip
        self.torch = torch
        torch.cuda.set_device(index)
        torch.zeros(1, device="cuda").add_(1)  # makes the context, and it current in this thread
        torch.cuda.synchronize()
        try:
            self.library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        except OSError as error:
            raise LightboundError("probe", "cuda", "finds no CUDA driver", "Install NVIDIA's driver.") from error
        self.device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self.device), ctypes.c_int(index))
        self.attributes = {name: self._attribute(number) for name, number in ATTRIBUTES.items()}
        self.capability = 10 * self.attributes["major"] + self.attributes["minor"]
        self.multiprocessors = self.attributes["multiprocessors"]
        self.assembler = ""
        self._functions: dict[str, ctypes.c_void_p] = {}

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver; DriverError where it fails."""
        code = getattr(self.library, name)(*arguments)
        if code:
            text = ctypes.c_char_p()
            self.library.cuGetErrorString(ctypes.c_int(code), ctypes.byref(text))
            raise DriverError(name, code, (text.value or b"unknown error").decode())

    def version(self) -> int:
        """The CUDA version of the driver, 12080 for 12.8."""
        found = ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(found))
        return found.value

    def load(self, program: Program, cubin: bytes | None = None) -> None:
        """Load a program: machine code if given, else by ptxas where there is one, else by the driver from its text."""
        image = cubin
        if image is None:
            text = module([program], self.capability)
            try:
                image, self.assembler = assemble(text, self.capability), "ptxas"
            except AssemblyError:
                image, self.assembler = text.encode() + b"\0", "driver"
        handle, function = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cuModuleLoadDataEx", ctypes.byref(handle), ctypes.c_char_p(image), ctypes.c_uint(0), None, None)
        self.call("cuModuleGetFunction", ctypes.byref(function), handle, program.name.encode())
        most = self.attributes["shared_of_block_bytes"]
        self.call("cuFuncSetAttribute", function, ctypes.c_int(MAX_DYNAMIC_SHARED), ctypes.c_int(most))
        self._functions[program.name] = function

    def launch(self, program: Program, blocks: int, out: int, data: int, numbers: Sequence[int],
               shared_bytes: int | None = None) -> None:  # fmt: skip
        """Launch a program on PyTorch's current stream; `numbers` are rounds, a, b, c (0 where left out)."""
        if program.name not in self._functions:
            self.load(program)
        rounds, a, b, c = (*numbers, *(0,) * (4 - len(numbers)))
        values = [ctypes.c_uint64(out), ctypes.c_uint64(data), *(ctypes.c_uint32(n) for n in (max(1, rounds), a, b, c))]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        shared = program.shared_bytes if shared_bytes is None else shared_bytes
        stream = ctypes.c_void_p(self.torch.cuda.current_stream().cuda_stream)
        one = ctypes.c_uint(1)
        self.call(
            "cuLaunchKernel", self._functions[program.name], ctypes.c_uint(blocks), one, one,
            ctypes.c_uint(program.threads), one, one, ctypes.c_uint(shared), stream, pointers, None,
        )  # fmt: skip

    def _attribute(self, number: int) -> int:
        found = ctypes.c_int()
        try:
            self.call("cuDeviceGetAttribute", ctypes.byref(found), ctypes.c_int(number), self.device)
        except DriverError:
            return 0  # one that this driver does not know
        return found.value
