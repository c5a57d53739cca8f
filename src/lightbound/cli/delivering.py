"""Where an answer goes: to standard output, or to the file of ``--report``; to both where a format is asked for too."""

from __future__ import annotations

from pathlib import Path

from .answer import Answer
from .output import check_format, note, publish


def check_delivery(form: str, report: Path | None) -> None:
    """Refuse a format that does not exist, and a file that cannot be written, before any work is done for it."""
    check_format(form)
    if report is not None:
        from .writing import check_file

        check_file("--report", report)


def deliver(answer: Answer, form: str, report: Path | None, title: str) -> None:
    """Print an answer, or write it to a file under a title."""
    if report is None or form != "table":
        publish(answer, form)
    if report is not None:
        from .writing import write

        for remark in write(answer, title, report):
            note(remark)
        note(f"Written to {report}")
