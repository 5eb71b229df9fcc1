"""Making weights: packing data, training, calibrating the entropy tables, exporting, evaluating."""
