"""Run the code blocks of Markdown files, so that what the documentation shows is what happens.

A ``python`` block runs in one namespace a file. In a ``console`` block each ``$`` line runs in a shell, and the lines
below it must be what it prints. ``--write`` pastes the real output instead of comparing. A block marked
``console varies`` runs, but its output (times of this machine, say) is not compared. A block with the name of a file,
```` ```yaml mine.yaml ````, is written to it for the blocks that follow. Other blocks are left alone.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FENCE = re.compile(r"^```(\w+)( varies| [\w-]+\.\w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROOT = Path(__file__).resolve().parent.parent


def shell(command: str, folder: str) -> str:
    """What a command prints, errors included; a failure raises unless the line says it is meant (``# exits N``)."""
    meant = re.search(r"#\s*exits (\d+)\s*$", command)
    environment = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb", "LIGHTBOUND_ROOT": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False,
    )  # fmt: skip
    expected = int(meant.group(1)) if meant else 0
    if done.returncode != expected:
        raise RuntimeError(f"exit {done.returncode}, not {expected}\n{done.stdout}")
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def console(body: str, folder: str) -> str:
    """The block with every command followed by what it really prints. Continued lines end in a backslash."""
    lines = body.splitlines()
    made: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if not line.startswith("$ "):
            continue
        made.append(line)
        command = line[2:]
        while command.endswith("\\") and position < len(lines):
            made.append(lines[position])
            command = command[:-1] + lines[position].strip()
            position += 1
        output = shell(command, folder).rstrip("\n")
        if output:
            made.append(output)
    return "\n".join(made) + "\n"


def run_file(path: Path, write: bool) -> list[str]:
    """Failures of one file, each with the place where it stands."""
    text = path.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:

        def one(match: re.Match[str]) -> str:
            kind, option, body = match.groups()
            line = text[: match.start()].count("\n") + 2
            varies = option == " varies"
            if option and not varies:
                Path(folder, option.strip()).write_text(body, encoding="utf-8")
                return match.group(0)
            if kind not in ("python", "console"):
                return match.group(0)
            try:
                if kind == "python":
                    with contextlib.redirect_stdout(io.StringIO()), contextlib.chdir(folder):
                        exec(compile("\n" * (line - 1) + body, str(path), "exec"), namespace)
                    return match.group(0)
                real = console(body, folder)
            except BaseException as error:
                failures.append(f"{path}:{line}: {type(error).__name__}: {error}")
                return match.group(0)
            if real != body and not varies and not write:
                delta = "\n".join(
                    difflib.unified_diff(body.splitlines(), real.splitlines(), "shown", "real", lineterm="")
                )
                failures.append(f"{path}:{line}: the output is another one\n{delta}")
            return f"```console{option or ''}\n{real}```" if write else match.group(0)

        made = FENCE.sub(one, text)
    if write and made != text:
        path.write_text(made, encoding="utf-8")
    return failures


def main(arguments: list[str]) -> int:
    write = "--write" in arguments
    failures = []
    files = [Path(name) for name in arguments if name != "--write"]
    for path in files:
        found = run_file(path, write)
        print(f"{path}: {'failed' if found else 'ok'}", flush=True)
        failures += found
    print("\n\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
