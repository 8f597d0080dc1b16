import numpy as np

def conv_transpose2d(
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
def conv2d_grad_w(
    dw: np.ndarray,
    dy: np.ndarray,
    x: np.ndarray,
    ih_of: np.ndarray,
    iw_of: np.ndarray,
    SH: int,
    SW: int,
    DH: int,
    DW: int,
) -> None: ...
