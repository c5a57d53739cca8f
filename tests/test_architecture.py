"""The shape of the house: which room may know which, what importing costs, and habits that a reader relies on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

import lightbound as lb
from lightbound.workloads.methods import method_names

ROOT = Path(__file__).parents[1]
FACE = ROOT / "src" / "lightbound"
ROOMS = ("workloads", "archs", "kernels", "sim", "validate")
FLOOR = {"_core": 0, "base": 1, "workloads": 2, "archs": 2, "kernels": 2, "sim": 3, "validate": 4, "face": 5}
COMPILED = "lightbound._core"  # csrc/, the ground: it lies beside the face and knows nobody
HEAVY = {"torch", "triton", "matplotlib"}
ON_DEVICE = "lightbound.kernels.triton.device"  # code for Triton's compiler: loaded when a kernel runs or is compiled
LONGEST_FILE = 400

# Proper names of methods, models and configurations; methods of the registry whose names are plain words are left out.
NAMES = {
    "fusemax", "flat", "gna", "natten", "bert", "trxl", "xlm", "t5", "llama", "flash", "flashattention", "mamba",
    "ulysses", "unfused",
} | {name for name in method_names() if name not in ("attention", "matmul")}  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One imported module, by its full name; `on_import` where importing the importer runs it."""

    module: str
    line: int
    on_import: bool


@cache
def modules() -> dict[str, Path]:
    """Every Python module of the distribution by its full name."""
    found: dict[str, Path] = {}
    for folder in (*(ROOT / room for room in ROOMS), FACE):
        stem = "lightbound" if folder == FACE else f"lightbound.{folder.name}"
        for path in sorted(folder.rglob("*.py")):
            if path.relative_to(folder).parts[0] not in ROOMS:  # rooms are linked into the face
                parts = path.relative_to(folder).with_suffix("").parts
                found[".".join((stem, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else "face"


def imports(module: str) -> Iterator[Import]:
    """Every import statement of a module, wherever it stands."""
    is_package = modules()[module].name == "__init__.py"

    def walk(node: ast.AST, on_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, on_import) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                package = module.split(".")[: None if is_package else -1]
                above = package[: len(package) - child.level + 1] if child.level else []
                stem = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    deeper = f"{stem}.{alias.name}"
                    known = deeper in modules() or deeper == COMPILED
                    yield Import(deeper if known else stem, child.lineno, on_import)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, on_import and not function and not checking)

    return walk(tree(module), True)


def test_the_walk_finds_every_room_and_the_face() -> None:
    assert {room(module) for module in (*modules(), COMPILED)} == set(FLOOR)
    assert "lightbound.sim.reuse" in modules() and "lightbound.base.formula" in modules()
    assert any(one.module == "lightbound.archs.machine" for one in imports("lightbound.sim.plan"))
    assert any(one.module == "lightbound.sim.mapping" for one in imports("lightbound.sim.plan"))


def test_no_arrow_runs_up_nor_between_rooms_of_one_floor() -> None:
    upward = [
        f"{modules()[module].relative_to(ROOT)}:{one.line} imports {one.module}"
        for module in modules()
        for one in imports(module)
        if one.module.startswith("lightbound")
        and room(one.module) != room(module)
        and FLOOR[room(one.module)] >= FLOOR[room(module)]
    ]
    assert not upward


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = nx.DiGraph(
        (module, one.module)
        for module in modules()
        for one in imports(module)
        if one.on_import and one.module in modules() and one.module != module
    )
    assert list(nx.simple_cycles(graph)) == []


def test_rooms_are_imported_under_the_name_of_the_package_only() -> None:
    tests_and_more = [path for name in ("tests", "examples", "benchmarks") for path in (ROOT / name).rglob("*.py")]
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (*modules().values(), *tests_and_more)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
        if isinstance(node, ast.Import | ast.ImportFrom) and name.split(".")[0] in (*ROOMS, "base", "cli", "src")
    ]
    assert not bare


def test_within_a_room_imports_are_relative() -> None:
    spelled_out = [
        f"{modules()[module].relative_to(ROOT)}:{node.lineno}"
        for module in modules()
        if room(module) != "face"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom)
        and not node.level
        and (node.module or "").startswith(f"lightbound.{room(module)}")
    ]
    assert not spelled_out


def test_heavy_packages_load_inside_functions_only() -> None:
    heavy = [
        f"{modules()[module].relative_to(ROOT)}:{one.line} imports {one.module}"
        for module in modules()
        for one in imports(module)
        if one.on_import and not module.startswith(ON_DEVICE)
        if one.module.split(".")[0] in HEAVY or one.module.startswith(ON_DEVICE)
    ]
    assert not heavy


def test_importing_lightbound_loads_almost_nothing_and_simulating_no_torch() -> None:
    program = (
        "import sys; before = len(sys.modules)\n"
        "import lightbound as lb; print(len(sys.modules) - before)\n"
        "p = lb.simulate('matmul', 'fusemax'); lb.size_buffers('matmul', 'fusemax', growth=False)\n"
        f"assert p.latency_s > 0; print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules_loaded, heavy = result.stdout.splitlines()
    assert int(modules_loaded) < 40
    assert heavy == "[]"


def test_the_simulator_knows_no_method_model_or_configuration_by_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{token.start[0]} says {word!r}"
        for module, path in modules().items()
        if room(module) == "sim"
        for token in _tokens(path)
        if token.type in (tokenize.NAME, tokenize.STRING, tokenize.COMMENT)
        for word in re.findall(r"[a-z0-9]+", token.string.lower())
        if word in NAMES
    ]
    assert not found


def _tokens(path: Path) -> list[tokenize.TokenInfo]:
    with path.open("rb") as file:
        return list(tokenize.tokenize(file.readline))


@pytest.mark.parametrize("folder", [*ROOMS, "src", "tests", "examples", "benchmarks", "csrc"])
def test_no_file_outgrows_one_idea(folder: str) -> None:
    paths = [path for suffix in ("py", "cpp", "hpp", "h") for path in (ROOT / folder).rglob(f"*.{suffix}")]
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in paths}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path.relative_to(ROOT)) for module, path in modules().items() if not ast.get_docstring(tree(module))]
    assert not silent


def test_what_one_room_offers_another_is_documented() -> None:
    """A function or class that is imported across rooms is public, and says what it does."""
    offered = {
        (one.module, alias.name)
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "") in modules()
        for one in [Import(node.module or "", node.lineno, True)]
        for alias in node.names
    }
    undocumented = [
        f"{module}.{node.name}"
        for module in modules()
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and (module, node.name) in offered
        and not ast.get_docstring(node)
    ]
    assert not undocumented


def test_every_public_name_is_documented() -> None:
    assert set(lb.__all__) <= set(dir(lb))
    for name in lb.__all__:
        public = getattr(lb, name)
        assert (public.__doc__ or "").strip(), name
        if isinstance(public, type):
            own = {key: value for key, value in vars(public).items() if not key.startswith("_") and callable(value)}
            assert [key for key, value in own.items() if not (value.__doc__ or "").strip()] == [], name
