"""Claims of papers about hardware, each derived here from its runs and classed.

What is recalled rather than read is shown and not counted; a claim that nothing here can tell (accuracy, unpublished
conditions) is shown with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lightbound.workloads.registry import method, workload_names

from ..claims import VERDICTS, Judged, judge
from ..processes import spread
from ..suite import Check, Suite, SuiteReport

SHORT_OF = 0.30
"""Of the derivable claims, the share that may come out neither within their tolerance nor correctly bounded."""


def judged(names: Iterable[str] | None = None, processes: int | None = None) -> tuple[Judged, ...]:
    """Every claim of these methods (of all by default), classed, on all cores or on so many."""
    known = workload_names() if names is None else names
    jobs = [(name, number) for name in known for number in range(len(method(name).claims))]
    return tuple(spread(_judge, jobs, processes))


def _judge(name: str, number: int) -> Judged:
    one = method(name)
    return judge(one, one.claims[number])


def run() -> SuiteReport:
    """Every claim of every method."""
    found = judged()
    return SuiteReport(
        name=SUITE.name,
        title=SUITE.title,
        source=SUITE.source,
        checks=checks(found),
        groups=(),
        rows=tuple(one.to_dict() for one in found),
        notes=tuple(_notes(found)),
        shown=("method", "claim", "claimed", "unit", "derived", "relative_error", "verdict"),
    )


def checks(found: Sequence[Judged]) -> tuple[Check, ...]:
    """What the suite holds itself to."""
    counted = [one for one in found if one.verdict != "not derivable" and one.claim.evidence != "recalled"]
    exact = [one for one in counted if one.claim.exact]
    missed = [one for one in counted if one.verdict == "contradicted"]
    return (
        Check(f"exact counts that differ, of {len(exact)}", 0, sum(one.verdict != "reproduced" for one in exact)),
        Check(
            f"derivable claims neither reproduced nor bounded, of {len(counted)}",
            SHORT_OF,
            len(missed) / len(counted) if counted else 0.0,
        ),
    )


def _notes(found: Sequence[Judged]) -> Iterable[str]:
    counts = Counter(one.verdict for one in found)
    yield f"{len(found)} claims: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS) + "."
    reasons = Counter(one.why for one in found if one.verdict == "not derivable")
    yield "Not derivable: " + "; ".join(f"{why} ({count})" for why, count in reasons.most_common()) + "."
    for one in found:
        if one.verdict == "contradicted":
            yield (
                f"Contradicted: {one.method}, {one.claim.name}: claimed {one.claim.value:g} {one.claim.unit}, derived "
                f"{one.derived:g}. {one.why or 'No explanation is known.'}"
            )


SUITE = Suite(
    name="claims",
    title="Claims of papers about speed, operations, parameters and memory",
    source="the papers of the methods; each claim names its own",
    run=run,
    by_name=True,
)
