"""One end of a real link: a process in a network namespace of its own, joined to the other by a shaped virtual cable.

``python -m lightbound.validate.link_endpoint`` is started by `shaped_link` and is no command for users. It makes a
network namespace, starts the receiver in another, lays a pair of virtual Ethernet devices between them with a token
bucket (tc tbf) on its own side, sends what it is asked to, and prints one line of JSON for each transfer.

Nothing is left behind whatever happens: the namespaces have no name and live as long as their processes, the devices
and the token bucket as long as the namespaces, and each process is killed by the kernel when the one that started it
ends. Addresses exist in these namespaces alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from typing import IO, Any

import numpy as np

DEVICE, PORT = "veth0", 5001
SENDER, RECEIVER = "10.77.0.1", "10.77.0.2"
DATAGRAM = 1400  # bytes of payload in a datagram
PAUSE_S = 0.03  # in which the token bucket fills
PATIENCE_S = 30.0
_NEW_USER, _NEW_NET, _DEATH_SIGNAL = 0x10000000, 0x40000000, 1


class RefusedError(Exception):
    """The system does not let this process make a link; the message says why."""


class BrokenError(Exception):
    """A link was made, and a transfer over it went wrong; the message says how."""


def main(arguments: list[str]) -> None:
    """Be the sender (of the transfers that a line of JSON on standard input asks for), or the receiver."""
    role, parent = arguments[0], int(arguments[1])
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        return
    try:
        _send_all(json.loads(sys.stdin.readline())) if role == "sender" else _receive_all()
    except RefusedError as error:
        _tell(sys.stdout, {"refused": str(error)})
    except (BrokenError, OSError) as error:
        _tell(sys.stdout, {"broken": str(error)})


def features(count: int) -> bytes:
    """So many bytes of a map of features, quantised to one byte a value: mostly zero, as such maps are."""
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    return (np.maximum(values, 0) * 40).astype(np.uint8).tobytes()


def _digest(parts: list[bytes]) -> int:
    """A checksum of parts in any order: datagrams may overtake each other."""
    return sum(map(zlib.crc32, parts)) % 2**32


# ---- the system ---------------------------------------------------------------------------------------------------


def _new_namespace(own_user: bool) -> None:
    """Move this process into a new network namespace; without rights, into a new user namespace first."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(_NEW_NET) == 0:
        return
    user, group = os.getuid(), os.getgid()
    if not own_user or system.unshare(_NEW_USER | _NEW_NET) != 0:
        raise RefusedError(f"a network namespace may not be made here ({os.strerror(ctypes.get_errno())})")
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        try:
            with open(f"/proc/self/{file}", "w", encoding="ascii") as stream:
                stream.write(text)
        except OSError as error:
            raise RefusedError(f"a user namespace may not be used here ({error})") from error


def _run(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"`{command}` failed: {(done.stderr or done.stdout).strip()}")


def _address(address: str) -> None:
    _run(f"ip link set {DEVICE} addrgenmode none")  # no IPv6 beside, whose packets would take tokens
    _run(f"ip address add {address}/24 dev {DEVICE}")
    _run(f"ip link set {DEVICE} up")


# ---- the sender ---------------------------------------------------------------------------------------------------


def _send_all(jobs: list[dict[str, Any]]) -> None:
    _new_namespace(own_user=True)
    command = [sys.executable, "-m", "lightbound.validate.link_endpoint", "receiver", str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdin is not None and receiver.stdout is not None
        _hear(receiver.stdout)
        _run(f"ip link add {DEVICE} type veth peer name {DEVICE} netns {receiver.pid}")
        _address(SENDER)
        _tell(receiver.stdin, {"address": RECEIVER})
        _hear(receiver.stdout)
        shaped = None
        for job in jobs:
            shape = f"rate {job['rate_bps']:.0f}bit burst {job['burst_bytes']} limit 16mb"
            if shape != shaped:
                _run(f"tc qdisc replace dev {DEVICE} root tbf {shape}")
                shaped = shape
            _tell(sys.stdout, {**job, "seconds": _transfer(job, receiver.stdin, receiver.stdout)})
        receiver.stdin.close()


def _transfer(job: dict[str, Any], orders: IO[str], answers: IO[str]) -> float:
    """Seconds from the first byte handed to the socket to the last one read by the receiver."""
    data = features(job["payload_bytes"])
    parts = [data]
    if job["protocol"] == "udp":
        parts = [data[start : start + DATAGRAM] for start in range(0, len(data), DATAGRAM)]
    _tell(orders, {"protocol": job["protocol"], "bytes": len(data)})
    _hear(answers)
    kind = socket.SOCK_STREAM if job["protocol"] == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as link:
        link.settimeout(PATIENCE_S)
        link.connect((RECEIVER, PORT))
        time.sleep(PAUSE_S)
        began = time.monotonic_ns()
        if job["protocol"] == "tcp":
            link.sendall(data)
        else:
            for part in parts:
                link.send(part)
        answer = _hear(answers)
    if answer["digest"] != _digest(parts):
        missing = len(data) - answer["bytes"]
        raise BrokenError(f"{missing} bytes are missing" if missing else "what arrived is not what was sent")
    return (answer["ended"] - began) / 1e9


# ---- the receiver -------------------------------------------------------------------------------------------------


def _receive_all() -> None:
    _new_namespace(own_user=False)
    _tell(sys.stdout, {"ready": True})
    _address(json.loads(sys.stdin.readline())["address"])
    _tell(sys.stdout, {"ready": True})
    for line in sys.stdin:
        order = json.loads(line)
        with socket.socket(
            socket.AF_INET, socket.SOCK_STREAM if order["protocol"] == "tcp" else socket.SOCK_DGRAM
        ) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            server.settimeout(PATIENCE_S)
            server.bind((RECEIVER, PORT))
            if order["protocol"] == "tcp":
                server.listen(1)
            _tell(sys.stdout, {"ready": True})
            parts, ended = _received(server, order)
        came = parts if order["protocol"] == "udp" else [b"".join(parts)]
        _tell(sys.stdout, {"ended": ended, "bytes": sum(map(len, came)), "digest": _digest(came)})


def _received(server: socket.socket, order: dict[str, Any]) -> tuple[list[bytes], int]:
    """What came, in order, and when its last byte was there; what is missing after a while stays missing."""
    parts: list[bytes] = []
    left = order["bytes"]
    stream = server.accept()[0] if order["protocol"] == "tcp" else server
    stream.settimeout(PATIENCE_S)
    try:
        while left > 0 and (part := stream.recv(1 << 16)):
            parts.append(part)
            left -= len(part)
    except TimeoutError:
        pass
    ended = time.monotonic_ns()
    if stream is not server:
        stream.close()
    return parts, ended


def _tell(stream: IO[str], message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _hear(stream: IO[str]) -> dict[str, Any]:
    line = stream.readline()
    if not line:
        raise BrokenError("the receiving process ended early")
    message = json.loads(line)
    if "refused" in message:
        raise RefusedError(message["refused"])
    if "broken" in message:
        raise BrokenError(message["broken"])
    return message


if __name__ == "__main__":
    main(sys.argv[1:])
