import numpy as np

def avg_pool2d_backward(
    dx: np.ndarray,
    dy: np.ndarray,
    h_windows: np.ndarray,
    w_windows: np.ndarray,
) -> None: ...
