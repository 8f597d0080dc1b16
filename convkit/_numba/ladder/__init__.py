"""The rungs of the ladders in Numba: one file an idea."""
