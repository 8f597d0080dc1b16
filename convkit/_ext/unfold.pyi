import numpy as np

def im2col(
    cols: np.ndarray,
    x: np.ndarray,
    ih_of: np.ndarray,
    iw_of: np.ndarray,
    SH: int,
    SW: int,
    DH: int,
    DW: int,
) -> None: ...
