"""``python -m lightbound.kernels.triton.campaign``: the campaign without an installed lightbound."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lightbound.base.errors import LightboundError

from .face import campaign, seconds_of
from .plan import SPLITS
from .run import Asked


def main() -> int:
    """Exit status: 0 where all is measured, 3 where something is left, 2 on bad input, 4 where the device was lost."""
    parser = argparse.ArgumentParser(prog="python -m lightbound.kernels.triton.campaign", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl", help="records are appended here")
    parser.add_argument("--budget", default="480s", metavar="TIME", help="such as 480s or 8min (default: %(default)s)")
    parser.add_argument("--kernels", default="", metavar="A,B", help="these only")
    parser.add_argument("--split", default="all", choices=SPLITS)
    parser.add_argument("--fresh", type=int, metavar="N", help="new shapes, drawn from this number, all held out")
    parser.add_argument("--tune", action="store_true", help="compare the tiles of a few calibration cases instead")
    parser.add_argument("--peers", nargs="?", const="", metavar="A,B", help="time others beside them; all by default")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for tiny cases by the interpreter")
    parser.add_argument("--commit", default=None, metavar="HASH", help="of the code, where git cannot tell")
    parser.add_argument("--processes", type=int, default=12, metavar="N", help="that compile; 0: this one")
    given = parser.parse_args()
    try:
        peers = tuple(name for name in (given.peers or "").split(",") if name) or given.peers is not None
        budget_s = seconds_of(given.budget)
        asked = Asked(given.split, peers, given.tune, budget_s, given.processes, fresh=given.fresh)
        names = [name for name in given.kernels.split(",") if name]
        outcome = campaign(given.out, names, asked, given.device, given.commit, lambda line: print(line, flush=True))
    except LightboundError as error:
        print(error, file=sys.stderr)
        return 4 if type(error).__name__ == "DeviceLostError" else 2
    return 3 if outcome.left else 0


if __name__ == "__main__":
    sys.exit(main())
