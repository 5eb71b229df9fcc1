"""`pico-library shrink --engine dask`: the same shrink over the workers of a dask cluster, and into object stores."""
