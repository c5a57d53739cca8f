"""The kernels by name. A file of this folder that has a `KERNELS` is found here: nothing else lists them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from lightbound.base.errors import LightboundError, choose_from

from .kernel import TritonKernel


@cache
def kernels() -> dict[str, TritonKernel]:
    """Every kernel, by name."""
    package = __name__.rpartition(".")[0]
    folder = import_module(package)
    found = (
        kernel
        for file in sorted(one.name for one in iter_modules(folder.__path__) if not one.ispkg)
        for kernel in getattr(import_module(f"{package}.{file}"), "KERNELS", ())
    )
    return {kernel.name: kernel for kernel in found}


def find_kernel(name: str) -> TritonKernel:
    """The kernel of a name; LightboundError lists those there are."""
    known = kernels()
    if name not in known:
        raise LightboundError("kernel", name, "is not a Triton kernel of lightbound", choose_from(known, name))
    return known[name]
