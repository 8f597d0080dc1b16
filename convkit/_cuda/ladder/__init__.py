"""The rungs of the GPU ladders: how a naive kernel becomes a fast one."""
