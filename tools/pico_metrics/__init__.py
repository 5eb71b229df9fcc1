"""How close a coded picture is to its original: one module for each family of metrics, listed in `catalogue`.

Every metric takes the original first and the coded picture second, both as uint8 arrays (height, width, 3) of
sRGB, and returns a float. Nothing here imports torch before a metric that needs it is computed.
"""
