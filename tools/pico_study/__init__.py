"""Command `pico-study`: which of two pictures people find closer to the original, asked blindly (docs/study.md)."""
