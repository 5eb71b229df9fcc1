"""Command `pico-library`: shrinks a photo library without ever losing a photo (docs/library.md)."""
