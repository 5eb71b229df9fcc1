"""Makes `python -m pico_study` the same as the command `pico-study`."""

from __future__ import annotations

import sys

from pico_study.cli import main

sys.exit(main())
