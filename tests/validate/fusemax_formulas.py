"""The closed forms of the FuseMax article and its artifact, written out by hand for tests: what the engine must equal.

They share nothing with the engine: no mapping, no reuse analysis, a formula for each configuration. Sizes as in the
article (B * H heads in all, M keys, P queries, E and F head dimensions), `pe` lanes a side, which divide M and P.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOCK = 940e6
BANDWIDTH = 400 * 2**30


@dataclass(frozen=True)
class Sizes:
    B: int
    H: int
    E: int
    F: int
    M: int
    P: int

    @property
    def heads(self) -> int:
        return self.B * self.H

    @property
    def scores(self) -> int:
        return self.heads * self.M * self.P


@dataclass(frozen=True)
class Figures:
    traffic_bytes: float
    latency_s: float
    util_2d: float
    util_1d: float
    compute_cycles: float | None = None


def resident_tiles(s: Sizes, pe: int, room: float, words_a_query: int) -> int:
    """P1: tiles of `pe` queries on chip, the largest number that fits and divides those there are; 0 if none fits."""
    free = room - 2 * pe * (s.E + s.F)
    cap = min(free // (2 * pe * words_a_query), s.P // pe)
    return max((d for d in range(1, s.P // pe + 1) if (s.P // pe) % d == 0 and d <= cap), default=0)


def one_pass_traffic(s: Sizes, pe: int, p1: int) -> int:
    """Queries in and results out once, keys and values once for each block of p1 tiles of queries."""
    reloads = s.P // (pe * p1)
    return 2 * (s.heads * s.P * (s.E + s.F) + reloads * s.heads * s.M * (s.E + s.F))


def fusemax(s: Sizes, pe: int, buffer: int, interleaved: bool) -> Figures | None:
    """+Binding (interleaved) or +Architecture; None where not even one tile fits the buffer."""
    p1 = resident_tiles(s, pe, buffer, s.E + s.F + 2)
    if p1 == 0:
        return None
    traffic = one_pass_traffic(s, pe, p1)
    c = s.scores / pe**2
    qk, lm, sln, sld, slnv = s.E * c, c, 7 * c, c, s.F * c
    rm, prm, spd, rd, spnv, rnv = c, 7 * c, c, c, s.F * c, s.F * c
    av = s.heads * s.P * s.F / pe
    if interleaved:
        first, last = max(qk + lm, rd + rnv + av), max(slnv, spnv)
    else:
        first, last = max(qk + lm, rd + av) + pe * lm, max(slnv, spnv + rnv)
    cycles = first + rm + max(sln + sld, prm + spd) + last
    latency = max(cycles / CLOCK, traffic / BANDWIDTH)
    busy_2d = qk + lm + sln + sld + slnv
    busy_1d = rm + prm + spd + rd + spnv + rnv + av
    return Figures(traffic, latency, busy_2d / CLOCK / latency, busy_1d / CLOCK / latency, cycles)


def cascade(s: Sizes, pe: int, buffer: int) -> Figures | None:
    """+Cascade: the 1-pass cascade on FLAT's arrays, tiles chosen for half the buffer."""
    p1 = resident_tiles(s, pe, buffer / 2, s.E + s.F + 2 + 2 * pe)
    if p1 == 0:
        return None
    traffic = one_pass_traffic(s, pe, p1)
    c = s.scores / pe**2
    busy_2d = (s.E + s.F) * c
    softmax = 4 * s.scores / pe  # maximum, subtraction and exponential, sum
    busy_1d = softmax + (5 + 2 * s.F) * c + s.heads * s.P * s.F / pe
    latency = max(busy_2d / CLOCK, busy_1d / CLOCK, traffic / BANDWIDTH)
    return Figures(traffic, latency, busy_2d / CLOCK / latency, busy_1d / CLOCK / latency)


def unfused(s: Sizes, pe: int, buffer: int) -> Figures:
    """Three phases one after the other; a row of scores must fit the buffer."""
    reloads = 1 if buffer >= 4 * s.P * s.E else s.E // 8
    c = s.scores / pe**2
    words_qk = s.scores + s.heads * s.P * s.E + reloads * s.heads * s.M * s.E
    words_av = s.scores + reloads * s.heads * s.M * s.F + s.heads * s.P * s.F
    words_softmax = 2 * s.scores
    phases = (
        (words_qk, s.E * c),
        (words_softmax, 4 * s.scores / pe),
        (words_av, s.F * c),
    )
    latency = sum(max(2 * words / BANDWIDTH, cycles / CLOCK) for words, cycles in phases)
    traffic = 2 * (words_qk + words_softmax + words_av)
    return Figures(traffic, latency, (s.E + s.F) * c / CLOCK / latency, 4 * s.scores / pe / CLOCK / latency)


_FLAT = {
    64: {
        1024: ({"QK", "A"}, "output", None),
        16384: ({"QK", "A"}, "output", 1024),
        65536: ({"QK", "A", "AV"}, "output", 256),
        262144: ({"Q", "AV"}, "weight", 1024),
    },
    128: {
        1024: ({"QK", "A", "V"}, "output", None),
        16384: ({"Q", "QK", "A"}, "output", 1024),
        65536: ({"Q", "QK", "A", "AV"}, "output", 256),
        262144: ({"Q", "AV"}, "weight", 1024),
    },
}


def flat(s: Sizes, pe: int, buffer: int) -> Figures:
    """FLAT with the published choice for this length and E in (64, 128); lanes hold all of E and F."""
    length = max(s.M, s.P)
    row = max(start for start in _FLAT[s.E] if start <= max(length, 1024))
    on, stationary, fused = _FLAT[s.E][row]
    p1 = s.P if fused is None else min(fused, s.P)
    need = 2 * p1 * s.M if "QK" in on else 0
    for tensor, width, whole in (("Q", s.E, p1), ("K", s.E, s.M), ("V", s.F, s.M), ("AV", s.F, p1)):
        need += 4 * width * (whole if tensor in on else pe)
    spilled = max(0, 1 - buffer / need) if "QK" in on else 0
    once = {"Q": s.heads * s.P * s.E, "K": s.heads * s.M * s.E, "V": s.heads * s.M * s.F, "AV": s.heads * s.P * s.F}
    if stationary == "output":
        array = {"Q": once["Q"] * s.M / pe, "K": once["K"] * s.P / pe, "V": once["V"] * s.P / pe, "AV": once["AV"]}
        busy_2d = (s.E * s.scores / pe**2, s.scores / pe, s.F / pe)
    else:
        blocks = s.P / p1
        array = {"Q": once["Q"] * s.M / pe, "K": once["K"] * blocks, "V": once["V"] * blocks, "AV": once["AV"]}
        busy_2d = (s.scores / pe * s.E / pe, s.scores / pe, s.F / pe)
    words = sum((1 - spilled) * once[t] + spilled * array[t] if t in on else array[t] for t in once)
    words += 7 * spilled * s.scores if "QK" in on else 4 * s.scores
    qk_useful, av_cycles, av_share = busy_2d
    qk_cycles = qk_useful if stationary == "output" else s.scores / pe
    busy_1d = 4 * s.scores / pe / CLOCK
    latency = max(2 * words / BANDWIDTH, (qk_cycles + av_cycles) / CLOCK, busy_1d)
    return Figures(2 * words, latency, (qk_useful + av_cycles * av_share) / CLOCK / latency, busy_1d / latency)


def charged_again(words: int, tile: int) -> float:
    """The part of an intermediate's first reads that a 64-bit counter of words times tile charges by mistake."""
    count = words * tile
    return (count - count % 2**64) / count


def one_pass_energy_pj(name: str, s: Sizes, buffer_tiles: int, traffic_bytes: float) -> float:
    """Energy of +Cascade, +Architecture and +Binding on 256 lanes as the artifact charges it, without its register
    files (about 1e-4 of it), in picojoules. `buffer_tiles` is P1.
    """
    mac, add, larger, divide = 17.1645, 8.3395, 0.028036, 36.251153
    w, x, n = s.heads, s.scores, s.scores // 256
    reloads = s.P // (256 * buffer_tiles)
    running = charged_again(n * s.F, buffer_tiles * 256 * s.F)
    reads = 2 * x * s.E / 256 + x * s.F / 256 + n * (2 + s.F) + w * s.P * (s.F + 1) + running * n * s.F
    writes = w * s.P * s.E + reloads * w * s.M * (s.E + s.F) + n * (2 + s.F)
    operations = add * (2 * x + n * (2 + s.F)) + larger * (x + n) + divide * w * s.P * s.F
    if name == "cascade":  # exponentials are not charged; scores go through the buffer
        read_row, write_row = 23854.664592, 27097.564592
        operations += mac * (x * (s.E + s.F) + n * (1 + s.F))
        reads += 2 * x + 2 * charged_again(x, buffer_tiles * 65536) * x
        writes += 2 * x
    else:
        read_row, write_row = 12512.760572, 15751.460572
        operations += mac * (x * (s.E + s.F + 6) + n * (7 + s.F))
    return operations + 249.6 * traffic_bytes / 8 + (reads * read_row + writes * write_row) / 256
