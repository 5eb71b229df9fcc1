"""Joins the JavaScript modules into one script, which works where modules do not: in a page opened from a disk.

Modules import with `import { names } from "./file.js";` and export with `export` before a declaration; nothing else of
the syntax of modules is used. Each becomes a function that returns what it exports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)

WORKER = "tile_worker"

# The same text runs in a page and, from a Blob, in its workers, which go no further than their own module.
_FRAME = """(function pico(picoScript) {{
"use strict";
const modules = {{}};
{worker}
if (typeof document === "undefined") return modules.tile_worker.work(self);
{page}
return modules.{entry}.start(`(${{pico}})()`, picoScript);
}})(typeof document === "undefined" ? null : document.currentScript);
"""


def bundle(sources: Mapping[str, str], entry: str) -> str:
    """One script of the module `entry` and all that it imports.

    The `start` of `entry` gets the text of the script, which a worker can run, and the <script> element.
    `sources` maps names of modules to their text. Raises ValueError for syntax that is not understood.
    """
    seen: list[str] = []
    worker, page = (
        "\n".join(
            f"modules.{name} = (() => {{\n{_wrapped(name, sources[name])}\n}})();"
            for name in _in_order(sources, top, seen)
        )
        for top in (WORKER, entry)
    )
    return _FRAME.format(worker=worker, page=page, entry=entry)


def _in_order(sources: Mapping[str, str], name: str, seen: list[str]) -> Iterator[str]:
    """The modules that `name` needs, and it itself last, but for those that were seen."""
    if name in seen:
        return
    seen.append(name)
    for _, needed in _IMPORT.findall(sources[name]):
        yield from _in_order(sources, needed, seen)
    yield name


def _wrapped(name: str, text: str) -> str:
    exported = [found for _, found in _EXPORT.findall(text)]
    text = _IMPORT.sub(lambda match: f"const {{{match[1]}}} = modules.{match[2]};\n", text)
    text = _EXPORT.sub(r"\1", text)
    if left := _OTHER.search(text):
        msg = f"{name}.js: {left[0]!r} is not understood"
        raise ValueError(msg)
    return f"{text}return {{ {', '.join(exported)} }};"
