import numpy as np

def normalize(
    y: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
) -> None: ...
