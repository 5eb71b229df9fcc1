"""The four networks of the codec; the only place in the project's core that imports torch."""
