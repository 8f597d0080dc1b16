"""Arrays at the border of convkit: what comes in is checked and made contiguous, what goes out
has the kind of what came in.

NumPy arrays go straight through. Anything else that speaks DLPack (a PyTorch tensor on the CPU,
say) is read without a copy, and the result is handed back by the same library's ``from_dlpack``;
no framework is imported here that the caller has not imported already. Arrays in a GPU's memory stay
there: the same functions run on them by CUDA kernels (:mod:`convkit.place`).
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from . import border
from .border import FLOATS, is_key, is_operand, is_vector, small, takes
from .dispatch import BackendUnavailable, why_not
from .geometry import LARGEST, check_allocation, option, whole
from .place import cuda_arrays, here, on_device

__all__ = [
    "IntOrInts",
    "any_array",
    "constant",
    "copied",
    "copy",
    "empty",
    "fill",
    "finish",
    "flag",
    "fraction",
    "full",
    "is_array",
    "key",
    "local",
    "number",
    "on_gpu",
    "operand",
    "output",
    "same_dtype",
    "shape_of",
    "vector",
]

IntOrInts = int | Sequence[int]

CUDA_MEMORY = (2, 13)  # DLPack's numbers for it: of a device, and managed

SMALL = 2**16  # elements: what fits any machine, so that a small call need not ask how large this one is

F = TypeVar("F", bound=Callable[..., Any])


def any_array(function: F) -> F:
    """Let `function`, written for NumPy arrays, take arrays of any kind and return the same kind.

    It must refuse what is no NumPy array by a TypeError, before it has changed anything: then it is
    called again with views. So NumPy arrays, the usual case, are not looked at twice.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            given = (*args, *kwargs.values())
            if here() is not None or not any(map(_is_foreign, given)):
                raise
        if any(map(on_gpu, given)):
            return _through_device(function, args, kwargs)
        return _through_numpy(function, args, kwargs)

    return cast("F", wrapper)


def _is_foreign(value: object) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return False
    return hasattr(value, "__dlpack__") or on_gpu(value)


def on_gpu(value: Any) -> bool:
    """Tell whether a value is an array in a CUDA device's memory."""
    if hasattr(type(value), "__dlpack_device__"):
        return value.__dlpack_device__()[0] in CUDA_MEMORY and not isinstance(value, np.ndarray)
    return hasattr(value, "__cuda_array_interface__") or getattr(value, "__cuda_ndarray__", False) is True


_signature = functools.cache(inspect.signature)


def _through_device(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call `function` on views of device arrays, where what :data:`here` gives stands in for NumPy."""
    if reason := why_not("cuda"):
        raise BackendUnavailable(f"cuda: {reason}")
    named = _signature(function).bind(*args, **kwargs).arguments
    there = {name: value for name, value in named.items() if on_gpu(value)}
    for name, value in named.items():
        if isinstance(value, np.ndarray) or (name not in there and _is_foreign(value)):
            raise TypeError(
                f"{', '.join(there)} on a GPU and {name} in main memory: nothing is moved in silence, "
                f"convkit.cuda.to_device({name}) copies it there"
            )
    visit = cuda_arrays().Visit(next(iter(there.values())))

    def view(value: Any) -> Any:
        return visit.view(value) if on_gpu(value) else value

    with visit.open() as device, on_device(device):
        result = function(*map(view, args), **{name: view(value) for name, value in kwargs.items()})
        return visit.back(result)


def _through_numpy(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call `function` on NumPy views of its arguments; results go back to the first one's kind."""
    first = next(a for a in (*args, *kwargs.values()) if _is_foreign(a))
    from_dlpack = _from_dlpack(first)  # before the work is done, should there be none
    everything = (*args, *kwargs.values())
    views = [_view(a) for a in everything]
    result = function(*views[: len(args)], **dict(zip(kwargs, views[len(args) :], strict=True)))
    return _back(result, from_dlpack, dict(zip(map(id, views), everything, strict=True)))


def _from_dlpack(foreign: Any) -> Callable[[Any], Any]:
    """Return the function that makes arrays of `foreign`'s kind: its library's ``from_dlpack``."""
    if hasattr(foreign, "__array_namespace__"):
        library = foreign.__array_namespace__()
    else:
        library = sys.modules[type(foreign).__module__.partition(".")[0]]
    if not hasattr(library, "from_dlpack"):
        kind = f"{type(foreign).__module__}.{type(foreign).__qualname__}"
        raise TypeError(f"{kind} speaks DLPack, but its library has no from_dlpack to return results by")
    return library.from_dlpack


def _view(value: Any) -> Any:
    if not _is_foreign(value):
        return value
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    device, _ = value.__dlpack_device__()
    if device != 1:  # the CPU
        raise TypeError(f"{kind} is not in this machine's main memory (DLPack device {int(device)})")
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"{kind} cannot be read as an array: {error}") from error


def _back(result: Any, from_dlpack: Callable[[Any], Any], given: dict[int, Any]) -> Any:
    """Return results in the caller's kind; what is an argument of his (``out``) as that argument."""
    if id(result) in given:
        return given[id(result)]
    if isinstance(result, np.ndarray):
        return from_dlpack(result)
    if isinstance(result, tuple):
        items = [_back(item, from_dlpack, given) for item in result]
        return type(result)(*items) if hasattr(result, "_fields") else tuple(items)
    return result


def operand(x: Any, name: str) -> np.ndarray:
    """Return `x` as a C-contiguous, aligned, native array of float32 or float64.

    It is `x` itself where that is one already; other strides or byte orders are copied.

    Raises
    ------
    TypeError
        If `x` is not an array, or of another dtype: nothing is cast in silence.
    """
    if is_operand(x):
        return x
    if here() is not None:
        return here().operand(x, name)
    if type(x) is not np.ndarray:
        if not isinstance(x, np.ndarray) or isinstance(x, np.ma.MaskedArray):
            hint = f": np.array({name}, np.float32) makes one" if isinstance(x, list | tuple) else ""
            raise TypeError(f"{name} must be an array of float32 or float64, got {type(x).__name__}{hint}")
        x = np.asarray(x)
    if x.dtype.kind != "f" or x.dtype.newbyteorder("=") not in FLOATS:
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}; nothing is cast in silence")
    return np.require(x, x.dtype.newbyteorder("="), ("C", "A"))


def number(value: Any, name: str) -> float:
    """Return `value` as a float, if it is a real number."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if isinstance(value, int):
        return float(whole(value, name))
    return float(value)


def flag(value: Any, name: str) -> bool:
    """Return `value` as a bool, if it is True or False.

    An array or a number in its place is a slip in the order of the arguments.
    """
    if value is True or value is False:
        return value
    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def fraction(value: Any, name: str) -> float:
    """Return `value` as a float, if it is a number in [0, 1]."""
    value = number(value, name)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return value


def same_dtype(**arrays: np.ndarray | None) -> None:
    """Raise a TypeError unless the arrays, given by name, share one dtype; None is left out."""
    given = {name: a.dtype for name, a in arrays.items() if a is not None}
    if len(set(given.values())) > 1:
        raise TypeError("one dtype is needed, got " + ", ".join(f"{n} {t}" for n, t in given.items()))


def vector(v: Any, length: int, name: str, dtype: np.dtype) -> np.ndarray:
    """Return `v` as an operand of shape ``(length,)`` and of `dtype`.

    Raises
    ------
    TypeError, ValueError
        If it is not an array of floats, or of another dtype or shape.
    """
    if is_vector(v, length, dtype):
        return v
    v = operand(v, name)
    if v.shape != (length,):
        raise ValueError(f"{name} must have shape ({length},), got {v.shape}")
    if v.dtype != dtype:
        raise TypeError(f"{name} must be {dtype} as x is, got {v.dtype}")
    return v


def key(value: Any, name: str) -> Any:
    """Return an option in a form that a plan can be looked up by; None stays None."""
    return value if is_key(value) else option(value, name)


def shape_of(x: Any, name: str = "x") -> tuple[int, ...]:
    """Return the shape of an array, or `x` itself where it is a shape that stands for one."""
    if is_array(x):
        return x.shape
    if isinstance(x, tuple | list) and all(isinstance(n, int | np.integer) for n in x):
        shape = tuple(int(n) for n in x)
        if any(n < 0 or n > LARGEST for n in shape):
            raise ValueError(f"{name} as a shape must hold sizes of at least 0, got {shape}")
        return shape
    raise TypeError(f"{name} must be an array or its shape, got {type(x).__name__}")


def output(
    shape: Sequence[int], dtype: np.dtype, out: Any, inputs: Sequence[np.ndarray], name: str = "out"
) -> np.ndarray:
    """Return the array that a kernel may write: `out` itself where it qualifies, else a fresh one.

    A fresh one is used, too, where `out` is not contiguous or shares memory with an input;
    :func:`finish` then copies the result.

    Raises
    ------
    TypeError, ValueError
        If `out` is not a writable array of that shape and dtype.
    """
    if here() is not None:
        return here().output(shape, dtype, out, inputs, name)
    if out is None:
        if (y := small(shape, dtype, SMALL)) is not None:
            return y
        check_allocation(shape, dtype.itemsize)
        return np.empty(shape, dtype)
    if takes(out, shape, dtype, inputs):
        return out
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a NumPy array, got {type(out).__name__}")
    if out.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")
    if takes(out.view(np.ndarray), shape, dtype, inputs):  # a subclass: an np.memmap, say
        return out
    return np.empty(shape, dtype)


def finish(y: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Return the caller's `out` holding the result `y`, or `y` where there was none."""
    if out is None or y is out:
        return y
    copy(out, y)
    return out


# --- what NumPy does for arrays of its own, and the stand-in for those of a device --------------


def is_array(x: Any) -> bool:
    """Tell whether x is an array where this call works."""
    return isinstance(x, np.ndarray) or (here() is not None and here().is_array(x))


def local() -> Any:
    """Return what answers the questions of :mod:`convkit.border` about arrays where this call works."""
    return border if here() is None else here()


def empty(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Return a new array with anything in it."""
    return np.empty(shape, dtype) if here() is None else here().empty(shape, dtype)


def full(shape: Sequence[int], value: float, dtype: Any) -> np.ndarray:
    """Return a new array of one value."""
    return np.full(shape, value, dtype) if here() is None else here().full(shape, value, dtype)


def fill(y: np.ndarray, value: float) -> None:
    """Put one value into all cells of y."""
    if here() is None:
        y.fill(value)
    else:
        here().fill(y, value)


def copy(y: np.ndarray, x: np.ndarray) -> None:
    """Copy x into y, which has the same shape."""
    if here() is None:
        y[...] = x
    else:
        here().copy(y, x)


def copied(x: np.ndarray) -> np.ndarray:
    """Return a copy of x."""
    return x.copy() if here() is None else here().copied(x)


def constant(made: np.ndarray) -> np.ndarray:
    """Return an array that was made once for many calls, where this call works."""
    return made if here() is None else here().constant(made)
