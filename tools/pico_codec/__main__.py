"""Makes `python -m pico_codec` the same as the command `pico-codec`."""

from __future__ import annotations

import sys

from pico_codec.cli import main

sys.exit(main())
