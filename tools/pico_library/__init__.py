"""Command `pico-library`: shrinks a photo library without touching one original."""
