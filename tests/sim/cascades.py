"""Random small cascades: chains of products, pointwise lines, reductions, softmaxes and convolutions."""

from __future__ import annotations

from hypothesis import strategies as st

from lightbound.workloads.cascade import Cascade

RANKS = ("a", "b", "c", "d")
MACHINES = ("fusemax", "tpu_v4i", "h100_sxm")
SMALL = st.integers(1, 40)
LARGE = st.one_of(SMALL, st.integers(41, 700), st.sampled_from([64, 128, 256, 512, 1024]))


@st.composite
def cascades(draw: st.DrawFn, most: int = 4, size: st.SearchStrategy[int] = LARGE, batch: bool = False) -> Cascade:
    """A chain of one to `most` links, each of which reads the one before; with `batch`, every tensor has a rank n."""
    ranks: list[str] = draw(st.lists(st.sampled_from(RANKS), min_size=1, max_size=3, unique=True))
    lines: list[str] = []
    chain = _Chain(draw, lines, "n" if batch else "", "X", ranks)
    for _ in range(draw(st.integers(1, most))):
        links = [chain.pointwise, chain.product]
        if len(chain.ranks) > 1:
            links += [chain.reduction, chain.softmax]
        if "k" not in chain.ranks:
            links += [chain.convolution]
        draw(st.sampled_from(links))()
    cascade = Cascade.parse("\n".join(lines), name="chain")
    return cascade.with_sizes(**{rank.upper(): 3 if rank == "k" else draw(size) for rank in cascade.ranks})


class _Chain:
    """The lines so far, and the tensor and ranks that the next link reads."""

    def __init__(self, draw: st.DrawFn, lines: list[str], batch: str, tensor: str, ranks: list[str]) -> None:
        self.draw = draw
        self.lines = lines
        self.batch = batch
        self.tensor = tensor
        self.ranks = ranks

    def _access(self, tensor: str, indices: list[str]) -> str:
        every = [*([self.batch] if self.batch else []), *indices]
        return f"{tensor}[{','.join(every)}]" if every else tensor

    def _write(self, ranks: list[str], right: str) -> str:
        name = f"T{len(self.lines)}"
        self.lines.append(f"{self._access(name, ranks)} = {right}")
        return name

    @property
    def _here(self) -> str:
        return self._access(self.tensor, self.ranks)

    def _any(self) -> str:
        return self.draw(st.sampled_from(self.ranks))

    def pointwise(self) -> None:
        beside = self._access(f"W{len(self.lines)}", [self._any()])
        choices = (f"exp({self._here})", f"{self._here} * {beside}", f"max({self._here} + {beside}, 0)")
        self.tensor = self._write(self.ranks, self.draw(st.sampled_from(choices)))

    def product(self) -> None:
        summed = self._any()
        new = next(rank for rank in RANKS if rank not in self.ranks)
        weights = self._access(f"W{len(self.lines)}", [summed, new])
        kept = [new if rank == summed else rank for rank in self.ranks]
        self.tensor = self._write(kept, f"sum({self._here} * {weights}, {summed})")
        self.ranks = kept

    def reduction(self) -> None:
        summed = self._any()
        kept = [rank for rank in self.ranks if rank != summed]
        operation = self.draw(st.sampled_from(["sum", "max"]))
        self.tensor = self._write(kept, f"{operation}({self._here}, {summed})")
        self.ranks = kept

    def softmax(self) -> None:
        along = self._any()
        rest = [rank for rank in self.ranks if rank != along]
        top = self._write(rest, f"max({self._here}, {along})")
        numerator = self._write(self.ranks, f"exp({self._here} - {self._access(top, rest)})")
        over = self._access(numerator, self.ranks)
        total = self._write(rest, f"sum({over}, {along})")
        self.tensor = self._write(self.ranks, f"{over} / {self._access(total, rest)}")

    def convolution(self) -> None:
        along = self._any()
        window = [f"{rank}+k" if rank == along else rank for rank in self.ranks]
        taps = self._access(f"W{len(self.lines)}", ["k"])
        self.tensor = self._write(self.ranks, f"sum({self._access(self.tensor, window)} * {taps}, k)")
