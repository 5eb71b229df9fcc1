"""Making weights: reading trained checkpoints, calibrating the entropy tables, exporting."""
