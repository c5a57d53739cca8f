"""Where and with what a campaign ran: the device, its versions, the commit. The host stays anonymous."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from .telemetry import Telemetry

COMMIT = "LIGHTBOUND_COMMIT"


def fingerprint(device: str, commit: str | None, telemetry: Telemetry) -> dict[str, Any]:
    """All of it as plain data; `commit` goes before the variable LIGHTBOUND_COMMIT, and that before git."""
    found: dict[str, Any] = {
        "device": "CPU, interpreted",
        "commit": commit or os.environ.get(COMMIT) or _git(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{name: version for name in ("torch", "triton", "numpy") if (version := _version(name))},
        },
    }
    if device != "cpu":
        import torch

        about = torch.cuda.get_device_properties(device)
        found |= {
            "device": about.name,
            "compute_capability": 10 * about.major + about.minor,
            "multiprocessors": about.multi_processor_count,
            "memory_bytes": about.total_memory,
            "l2_bytes": about.L2_cache_size,
            **telemetry.device(),
        }
        found["versions"]["cuda"] = torch.version.cuda
    return found


def same_device(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether records of two runs may stand in one file."""
    names = ("device", "multiprocessors", "driver")
    return all(one.get(name) == other.get(name) for name in names)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> str:
    """The commit of the checkout, with a plus where files differ from it; "unknown" without git."""
    here = os.path.dirname(os.path.realpath(__file__))

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
