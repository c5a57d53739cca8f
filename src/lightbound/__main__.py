"""``python -m lightbound``: the command line where the script ``lightbound`` is not on the path."""

from __future__ import annotations

import sys

from lightbound.cli import main

if __name__ == "__main__":
    sys.exit(main())
