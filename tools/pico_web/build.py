"""Makes the decoder for browsers: `python -m pico_web.build [FOLDER]`.

Compiles the engine to WebAssembly beside this module, if a source is newer. With a folder, writes pico.html and the
package for npm into it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pico_core.errors import PicoError
from pico_web import compiling, npm, pages


def main(given: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pico_web.build", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("folder", nargs="?", type=Path, help="where to write pico.html and the npm package")
    arguments = parser.parse_args(given)
    try:
        output = pages.HERE / compiling.WASM
        if not compiling.is_current(output):
            print(f"Compiling {output.name}", flush=True)
            compiling.compile_wasm(output)
        if arguments.folder is not None:
            write_all(arguments.folder)
    except (PicoError, RuntimeError, OSError) as error:
        print(f"python -m pico_web.build: {error}", file=sys.stderr)
        return 1
    return 0


def write_all(folder: Path) -> None:
    """pico.html, and the folder `npm` with the package."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "pico.html"
    page.write_text(pages.whole_page(), "utf-8", newline="\n")
    print(f"Wrote {page}, {page.stat().st_size / 1e6:.1f} MB")
    npm.write_package(folder / "npm")
    print(f"Wrote {folder / 'npm'}")


if __name__ == "__main__":
    sys.exit(main())
