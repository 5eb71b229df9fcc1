"""Whether a .pico file is right: its bytes, its metadata, and how it looks beside its original."""
