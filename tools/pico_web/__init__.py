"""The decoder for web browsers: pico.html, albums for any web host, and a package for people who build pages."""
