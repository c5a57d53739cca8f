"""Build of the native extension; everything else is in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

# Times are equal on every machine, and equal to what Python computes. Python's own flags let whole numbers wrap around,
# which takes a register tile 25 more instructions for 192 multiply-adds.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-wrapv"]
sources = sorted(str(path) for path in Path("csrc").glob("*.cpp"))
headers = sorted(str(path) for path in Path("csrc").glob("*.hpp"))
core = Pybind11Extension(
    "lightbound._core",
    sources,
    depends=headers,
    cxx_std=17,
    extra_compile_args=[*FLAGS, "-pthread"],
    extra_link_args=["-pthread"],
)
ParallelCompile("LIGHTBOUND_BUILD_JOBS").install()
setup(ext_modules=[core])
