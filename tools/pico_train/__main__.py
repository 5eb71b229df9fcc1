"""Makes `python -m pico_train` the same as the command `pico-train`."""

from __future__ import annotations

import sys

from pico_train.cli import main

sys.exit(main())
