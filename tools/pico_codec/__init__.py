"""Command `pico-codec`, and the handling of picture files that the library tools build on."""
