"""What a run knows of a photo, as plain values: records, settings, reasons, places."""
