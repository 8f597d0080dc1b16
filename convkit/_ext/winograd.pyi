import numpy as np

from convkit.rules import Layer

def conv2d(
    y: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    ih_of: np.ndarray,
    iw_of: np.ndarray,
    SH: int,
    SW: int,
    DH: int,
    DW: int,
    U: np.ndarray | None = None,
) -> None: ...
def ready(w: np.ndarray, layer: Layer) -> np.ndarray | None: ...
def workspace_bytes(layer: Layer, itemsize: int, *geometry: object) -> int: ...
