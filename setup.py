"""Build of the native extension; everything else is in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

sources = sorted(str(path) for path in Path("csrc").glob("*.cpp"))
setup(ext_modules=[Pybind11Extension("lightbound._core", sources, cxx_std=17, extra_compile_args=["-O3"])])
