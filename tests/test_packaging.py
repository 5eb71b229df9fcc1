"""Installing: exact pins for everything, a wheel with all it needs, light imports, and a helpful Makefile."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def requirements() -> list[Requirement]:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    return [Requirement(text) for text in (*PROJECT["dependencies"], *extra_for_tests(), *build)]


def extra_for_tests() -> list[str]:
    extra: list[str] = PROJECT["optional-dependencies"]["test"]
    return extra


def closure(names: Iterable[str]) -> set[str]:
    """The names, and all that these packages require on this machine, themselves and through others."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        waiting += [
            canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})
        ]
    return found


def test_every_package_has_an_exact_pin() -> None:
    missing = closure(requirement.name for requirement in requirements()) - pins().keys()
    assert not missing, f"add to constraints.txt: {sorted(missing)}"


def test_pins_lie_within_what_the_project_accepts() -> None:
    for requirement in requirements():
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), requirement


def test_installing_for_use_brings_no_torch() -> None:
    needed = closure(Requirement(text).name for text in PROJECT["dependencies"])
    assert "numpy" in needed
    assert "torch" not in needed


def test_no_import_of_the_project_imports_torch() -> None:
    """Opening a picture must not cost the seconds that torch takes."""
    names = ["pico_core", "pico_core.image", "pico_core.codec", "pillow_pico", "pico_codec.cli"]
    names += ["pico_library.cli", "pico_bench.speed", "pico_bench.measure"]
    program = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="building a wheel needs hatchling")
def test_wheel_holds_packages_weights_and_licence_only(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    without_engine = {**os.environ, "PICO_BUILD_FOR": "any"}  # tests/test_building.py has wheels with it
    subprocess.run(build, cwd=ROOT, env=without_engine, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        default = archive.read("pico_core/weights/default.txt").decode().strip()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        assert "License-Expression: MIT" in archive.read(metadata).decode()
    assert f"pico_core/weights/{default}.safetensors" in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert tops == {Path(package).name for package in packages["packages"]}
    assert all(f"{top}/py.typed" in names for top in tops)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_explains_and_does_nothing() -> None:
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    for target in ("make demo", "make test"):
        assert target in done.stdout


def test_commands_are_documented_with_every_option() -> None:
    documented = (ROOT / "docs" / "commands.md").read_text()
    for pattern in ("pico_codec/cli.py", "pico_library/commands/*.py", "pico_bench/speed.py"):
        source = "".join(path.read_text() for path in (ROOT / "tools").glob(pattern))
        options = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', source)) - {"--version"}
        assert options
        assert not {option for option in options if f"`{option}" not in documented}


def test_every_link_of_the_pages_leads_to_a_file() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    assert len(links) > 100
    dead = [
        (page.name, link) for page, link in links if "://" not in link and not (page.parent / link).exists()
    ]
    assert not dead


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / ".ci" / "mkdocs.yml").read_text()))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}


def test_samples_are_few_credited_and_carry_real_metadata() -> None:
    folder = ROOT / "samples"
    files = [path for path in folder.iterdir() if path.suffix in (".jpg", ".png")]
    credits_text = (folder / "README.md").read_text()
    assert sum(path.stat().st_size for path in files) < 2_500_000
    assert all(f"`{path.name}`" in credits_text for path in files)
    tags = {}
    for path in files:
        with Image.open(path) as im:
            assert 640 <= max(im.size) <= 1600
            tags[path.name] = im.getexif()
    assert tags["lake.jpg"][0x0112] == 6
    assert tags["chapel.jpg"].get_ifd(0x8825)
    assert all(name.endswith(".png") or exif for name, exif in tags.items())
