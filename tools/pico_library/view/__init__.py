"""The gallery of `pico-library view`: a web page for this machine's own browser, served on the loopback only."""
