import numpy as np

def col2im(
    x: np.ndarray,
    cols: np.ndarray,
    ih_of: np.ndarray,
    iw_of: np.ndarray,
    SH: int,
    SW: int,
    DH: int,
    DW: int,
) -> None: ...
