"""Scoring on many machines, with Ray Data (`.ray`) or Dask (`.dask`); both stand on `.partition`."""
