"""Continuous integration draws the same examples each time, so that a red run is the change's fault; a run by hand
draws new ones and may find what nobody has seen.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

settings.register_profile("same_examples", derandomize=True, deadline=None)  # others may use the machine too
if os.environ.get("CI"):
    settings.load_profile("same_examples")

if not any(Path("/dev").glob("nvidia[0-9]*")):  # before anything loads triton, whose own functions ask for it then
    os.environ.setdefault("TRITON_INTERPRET", "1")
