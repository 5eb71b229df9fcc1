"""Makes `python -m pico_bench` the same as the command `pico-bench`."""

from __future__ import annotations

import sys

from pico_bench.cli import main

sys.exit(main())
