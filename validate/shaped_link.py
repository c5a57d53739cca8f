"""Real transfers over a shaped link of this machine: what is asked for, and what was measured.

Two processes in network namespaces of their own exchange packets over virtual Ethernet through a token bucket
(`link_endpoint`). Needs Linux, iproute2 and the right to make a network namespace: root's, or user namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lightbound.base.errors import LightboundError

from .link_endpoint import RefusedError

__all__ = ["RefusedError", "Transfer", "measure"]


@dataclass(frozen=True)
class Transfer:
    """One message over a link: `protocol` is tcp or udp; the token bucket has `rate_bps` and `burst_bytes`.

    A bucket of a single frame loses rate whenever the system looks at it late, as virtual machines do; one of ten
    frames makes up for 5 ms at 27 Mb/s.
    """

    protocol: str
    payload_bytes: int
    rate_bps: float
    burst_bytes: int = 16_000


def measure(transfers: Sequence[Transfer], limit_s: float = 120) -> list[float]:
    """Seconds of each transfer, from the first byte handed to a socket to the last one read at the other end.

    Raises RefusedError, with the reason, where this machine does not let a link be made, and LightboundError where
    one was made and a transfer failed, or all took more than `limit_s`. Nothing is left behind, even where this
    process is killed.
    """
    if sys.platform != "linux":
        raise RefusedError(f"network namespaces exist on Linux alone, not on {sys.platform}")
    missing = [tool for tool in ("ip", "tc") if shutil.which(tool) is None]
    if missing:
        raise RefusedError(f"there is no `{'`, `'.join(missing)}` here: install iproute2")
    command = [sys.executable, "-m", "lightbound.validate.link_endpoint", "sender", str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        try:
            found, _ = sender.communicate(json.dumps([asdict(one) for one in transfers]) + "\n", timeout=limit_s)
        except subprocess.TimeoutExpired as error:
            raise _broken(f"took more than {limit_s:g} s") from error
        finally:
            sender.kill()
    answers = [json.loads(line) for line in found.splitlines()]
    for answer in answers:
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        if "broken" in answer:
            raise _broken(f"failed: {answer['broken']}")
    if len(answers) < len(transfers):
        raise _broken("ended early")
    return [answer["seconds"] for answer in answers]


def _broken(problem: str) -> LightboundError:
    return LightboundError("link", "transfers over veth", problem, "Run it again while the machine has less to do.")
