import numpy as np

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
) -> None: ...
