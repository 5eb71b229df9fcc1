"""The watcher: shrinks the photos that appear in folders, once they have settled, in the background."""
