"""Build of the native extension; everything else is in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

FLAGS = ["-O3", "-ffp-contract=off"]  # times are equal on every machine, and equal to what Python computes
sources = sorted(str(path) for path in Path("csrc").glob("*.cpp"))
headers = sorted(str(path) for path in Path("csrc").glob("*.hpp"))
core = Pybind11Extension("lightbound._core", sources, depends=headers, cxx_std=17, extra_compile_args=FLAGS)
setup(ext_modules=[core])
