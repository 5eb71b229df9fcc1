"""Makes `python -m pico_library` the same as the command `pico-library`."""

from __future__ import annotations

import sys

from pico_library.cli import main

sys.exit(main())
