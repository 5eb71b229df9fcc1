"""Measurements of the codec; every number that the project states comes from here."""
