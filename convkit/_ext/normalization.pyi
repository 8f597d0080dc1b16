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
def normalize_given(
    y: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    invstd: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
) -> None: ...
