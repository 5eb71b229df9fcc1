"""How the modules of pico-library lie above each other: no circle, and nothing below knows what is above."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "tools" / "pico_library"
BELOW_THE_COMMANDS = ("model", "check", "store", "encoding", "outcomes", "photo", "run")


def imports() -> dict[str, set[str]]:
    """The modules of pico_library that each of them imports, those that it imports late too."""
    files = {
        ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts): path
        for path in LIBRARY.rglob("*.py")
        if path.name != "__init__.py"
    }
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pico_library"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found[module] |= {name if name in files else str(node.module) for name in names}
    return found


def part_of(module: str) -> str:
    """The package, or the module beside the packages: `store`, `photo`."""
    return module.split(".")[1]


def test_no_module_and_no_package_imports_itself_by_a_detour() -> None:
    modules = imports()
    parts: dict[str, set[str]] = {}
    for module, others in modules.items():
        mine = parts.setdefault(part_of(module), set())
        mine |= {part_of(other) for other in others if part_of(other) != part_of(module)}
    assert len(parts) > 10
    for graph in (modules, parts):
        assert list(graphlib.TopologicalSorter(graph).static_order())


def test_what_does_the_work_knows_nothing_of_command_lines() -> None:
    for module, others in imports().items():
        if part_of(module) in BELOW_THE_COMMANDS:
            above = {part_of(other) for other in others} - {*BELOW_THE_COMMANDS, "console"}
            assert not above, module


def test_only_one_module_has_photos_published() -> None:
    publishing = {path.name for path in LIBRARY.rglob("*.py") if ".publish()" in path.read_text()}
    assert publishing == {"photo.py", "sidecars.py"}
