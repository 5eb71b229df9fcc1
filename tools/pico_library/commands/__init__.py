"""The commands of `pico-library`, each a module: `add` describes it to the parser, `run` does it."""
