"""A program in PTX, and the frame that all timed ones share: a loop of known instructions between readings of a clock.

Every program has the same parameters, so that one launcher serves all: `out` and `data` (addresses), `rounds` (of its
loop), and `a`, `b`, `c` (numbers that a program explains). A timed program writes a record for each warp: RECORD
numbers of 64 bits, the clock of the multiprocessor at start and end (%clock64), the time in ns at start and end
(%globaltimer), and the index of the multiprocessor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

RECORD = 5
"""Numbers of 64 bits in the record of a warp: start, end (cycles), start, end (ns), multiprocessor."""

PARAMETERS = ".param .u64 out, .param .u64 data, .param .u32 rounds, .param .u32 a, .param .u32 b, .param .u32 c"
HOPPER = 90
LOOP_CONTROL = frozenset(
    ("IADD3", "VIADD", "UIADD3", "ISETP", "UISETP", "BRA", "NOP", "WARPSYNC", "UMOV", "MOV", "R2UR", "CALL")
)
"""Opcodes that a loop may hold besides what its program states: they count its rounds."""


@dataclass(frozen=True)
class Program:
    """A kernel in PTX.

    entry: text from ``.visible .entry`` on. loop: the opcodes of one round and how often each occurs, checked against
    the assembler's output; alone: nothing else but what counts rounds. work: what one warp does in a round, in units
    that the figure states. least and only: the compute capability that it needs, and the one that has its instructions
    (0: any from `least` on).
    """

    name: str
    entry: str
    loop: Mapping[str, int] = field(default_factory=dict)
    work: float = 0.0
    threads: int = 32
    shared_bytes: int = 0
    least: int = 80
    only: int = 0
    alone: bool = True

    def runs_on(self, capability: int) -> bool:
        """Whether a GPU of this compute capability (90 for 9.0) has the instructions."""
        return capability == self.only if self.only else capability >= self.least


def target(capability: int) -> str:
    """The assembler's name of a compute capability: with its own instructions from 9.0 on."""
    return f"sm_{capability}{'a' if capability >= HOPPER else ''}"


def module(programs: Iterable[Program], capability: int) -> str:
    """The text of a module that holds these programs."""
    version = "8.0" if capability <= HOPPER else "8.8" if capability in (103, 121) else "8.7"
    head = (
        f".version {version}\n.target {target(capability)}\n.address_size 64\n.extern .shared .align 1024 .b8 pool[];\n"
    )
    return head + "\n".join(program.entry for program in programs)


def unrolled(times: int, line: Callable[[int], str]) -> str:
    """The lines of an unrolled loop."""
    return "\n".join(line(index) for index in range(times))


def registers(**types: tuple[str, int]) -> str:
    """Declarations of numbered registers: ``x=("b32", 8)`` declares %x0 to %x7."""
    return "\n".join(f".reg .{kind} %{name}<{count}>;" for name, (kind, count) in types.items() if count)


def looped(label: str, counter: str, body: str) -> str:
    """`body` as often as the register `counter` says, at least once; the assembler is told not to unroll."""
    return f"""
{label}:
.pragma "nounroll";
{body}
sub.u32 {counter}, {counter}, 1;
setp.ne.u32 %again, {counter}, 0;
@%again bra {label};"""


def sink(names: Sequence[str]) -> str:
    """Keep the values of 32-bit registers alive: they are stored if their exclusive or is a number that never comes."""
    folded = "\n".join(f"xor.b32 %sink, %sink, {name};" for name in names)
    return f"{folded}\nsetp.eq.b32 %again, %sink, 0x5a17c0de;\n@%again st.global.b32 [%out], %sink;"


def head(name: str, threads: int, declared: str) -> str:
    """The beginning of an entry: parameters in %out, %data, %rounds, %a, %b, %c; %thread, %lane, %warp, %cta, %pool."""
    return f"""
.visible .entry {name}({PARAMETERS})
.maxntid {threads}, 1, 1
{{
.reg .pred %again, %p<16>;
.reg .b32 %rounds, %a, %b, %c, %thread, %lane, %warp, %cta, %pool, %sink, %address, %other;
.reg .b64 %out, %data, %start, %end, %ns, %done, %record, %wide, %from;
{declared}
ld.param.u64 %out, [out];
ld.param.u64 %data, [data];
ld.param.u32 %rounds, [rounds];
ld.param.u32 %a, [a];
ld.param.u32 %b, [b];
ld.param.u32 %c, [c];
cvta.to.global.u64 %out, %out;
cvta.to.global.u64 %data, %data;
mov.u32 %thread, %tid.x;
mov.u32 %cta, %ctaid.x;
and.b32 %lane, %thread, 31;
shr.u32 %warp, %thread, 5;
shfl.sync.idx.b32 %warp, %warp, 0, 31, -1;
mov.u32 %pool, pool;
mov.u32 %sink, 0;
mul.wide.u32 %wide, %thread, 4;
add.u64 %from, %data, %wide;"""


def record(warps: int) -> str:
    """The first lane of each warp writes the warp's record."""
    return f"""
mov.u32 %other, %smid;
mad.lo.u32 %address, %cta, {warps}, %warp;
mul.wide.u32 %wide, %address, {8 * RECORD};
add.u64 %record, %out, %wide;
setp.eq.u32 %again, %lane, 0;
cvt.u64.u32 %wide, %other;
@%again st.global.u64 [%record], %start;
@%again st.global.u64 [%record+8], %end;
@%again st.global.u64 [%record+16], %ns;
@%again st.global.u64 [%record+24], %done;
@%again st.global.u64 [%record+32], %wide;"""


START = "bar.sync 0;\nmov.u64 %ns, %globaltimer;\nmov.u64 %start, %clock64;"
END = "mov.u64 %end, %clock64;\nmov.u64 %done, %globaltimer;"


def timed(name: str, threads: int, declared: str, setup: str, body: str, kept: Sequence[str]) -> str:
    """A timed entry: `setup`, then `body` %rounds times between two readings of the clocks, then `kept` kept alive."""
    return "\n".join(
        (head(name, threads, declared), setup, START, looped("$loop", "%rounds", body), END, sink(kept),
         record(threads // 32), "ret;\n}")
    )  # fmt: skip


def fill_pool(size_bytes: int, threads: int) -> str:
    """Copy the first `size_bytes` of `data` to shared memory, by all threads; needs FILLS among the declarations."""
    assert size_bytes % 16 == 0
    return f"""
mul.lo.u32 %address, %thread, 16;
$fill:
.pragma "nounroll";
cvt.u64.u32 %wide, %address;
add.u64 %record, %data, %wide;
ld.global.v4.b32 {{%word0, %word1, %word2, %word3}}, [%record];
add.u32 %other, %pool, %address;
setp.lt.u32 %p0, %address, {size_bytes};
@%p0 st.shared.v4.b32 [%other], {{%word0, %word1, %word2, %word3}};
add.u32 %address, %address, {16 * threads};
setp.lt.u32 %again, %address, {size_bytes};
@%again bra $fill;
bar.sync 0;"""


FILLS = registers(word=("b32", 4))
