"""The rule of the house: what a folder may know. Imports run down only, and in no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "daemon" / "vae_balance"
# From the bottom up; those of one line do not know each other.
FLOORS = (
    ("errors",),
    ("files",),
    ("color",),
    ("photos",),
    ("luts",),
    ("looks",),
    ("models",),
    ("training",),
    ("correctors",),
    ("pipeline",),
    ("api", "batch"),
    ("evaluation",),
    ("installation",),
    ("server",),
    ("benchmark",),
    ("doctor",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
HEIGHTS = {name: height for height, floor in enumerate(FLOORS) for name in floor}
# Beside the floors below: what a folder must not know although it lies deeper.
FORBIDDEN = {
    "color": {"files"},
    "looks": {"photos", "files"},
    "pipeline": {"models", "training"},
}
# A corrector sees proxies, not files; what trains, draws or fetches one does.
CORRECTORS_WITH_FILES = ("train_", "explain", "fetch_balancer")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a file within the package, "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in files()}


def imports_of(path: Path) -> Iterator[str]:
    """Yield what a file imports of the package, whether at the start, later or for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        else:
            continue
        for full in dotted:
            inside = full.removeprefix("vae_balance.")
            if inside == full:
                continue
            if inside in NAMES:
                yield inside
            elif "." in inside:
                yield inside.rpartition(".")[0]


def folder_of(name: str) -> str:
    return name.partition(".")[0]


def test_every_file_and_folder_has_its_floor() -> None:
    assert {folder_of(name) for name in NAMES} - {""} == set(HEIGHTS)


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_no_import_runs_up(path: Path) -> None:
    folder = folder_of(name_of(path))
    if not folder:  # the package's own names are imported when they are asked for
        return
    for imported in imports_of(path):
        other = folder_of(imported)
        allowed = other == folder or HEIGHTS[other] < HEIGHTS[folder]
        assert allowed, f"{folder} must not know {imported}"
        assert other not in FORBIDDEN.get(folder, ()), f"{folder} must not know {imported}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("correctors/**/*.py")), ids=name_of)
def test_correctors_see_proxies_only(path: Path) -> None:
    if not path.name.startswith(CORRECTORS_WITH_FILES):
        assert not {"photos.photo", "files", "luts.files"} & set(imports_of(path))


def test_the_pipeline_and_what_is_below_know_no_people() -> None:
    for path in files():
        folder = folder_of(name_of(path))
        if folder and HEIGHTS[folder] <= HEIGHTS["batch"]:
            assert "click" not in path.read_text(encoding="utf-8").split(), path


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {name_of(path): set(imports_of(path)) - {""} for path in files()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/__init__.py")), ids=name_of)
def test_every_folder_says_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith('"""')
