"""Device arrays over memory that another library owns."""

from __future__ import annotations

from typing import Any

import numpy as np

from .target import SIMULATED, cuda

__all__ = ["Interface", "as_array", "pointer"]


class Interface:
    """An address, a shape and strides, as ``__cuda_array_interface__`` has them; keeps its owner alive."""

    def __init__(self, description: dict[str, Any], owner: Any) -> None:
        self.owner = owner
        self.__cuda_array_interface__ = description
        if SIMULATED:
            self.__array_interface__ = {
                k: description.get(k) for k in ("shape", "typestr", "data", "strides")
            }
            self.__array_interface__["version"] = 3


if SIMULATED:
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    class _Simulated(FakeCUDAArray):
        """The simulator's array, with a shape that counts from its end as real ones do."""

        @property
        def shape(self) -> tuple[int, ...]:
            return self._ary.shape

        def reshape(self, *shape: Any) -> _Simulated:
            return _Simulated(self._ary.reshape(*shape))

        def view(self, dtype: Any) -> _Simulated:
            return _Simulated(self._ary.view(dtype))

    def as_array(owner: Any) -> Any:
        """Return a device array over an owner's memory."""
        return _Simulated(owner._ary if isinstance(owner, FakeCUDAArray) else np.asarray(owner))

    def pointer(array: Any) -> int:
        """Return the address of a device array's first cell."""
        return array._ary.ctypes.data

else:

    def as_array(owner: Any) -> Any:
        """Return a device array over an owner's memory."""
        return cuda.as_cuda_array(owner, sync=False)

    def pointer(array: Any) -> int:
        """Return the address of a device array's first cell."""
        return array.__cuda_array_interface__["data"][0] or 0
