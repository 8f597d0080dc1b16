"""Compile every CUDA kernel without a GPU, and tell the registers and the memory that it takes.

    python benchmarks/ptx.py --json docs/ladders/ptx.json

Host functions run as they always do, on arrays that have shapes and dtypes and nothing else; where
they would start a kernel, the kernel and the types of its arguments are noted. Each such pair is compiled to
PTX by Numba and from there to machine code by ``ptxas``, which reports what it took. So there is no
list of kernels to keep: what the registry's lines launch is what is compiled, production's tiles included.

It needs ``numba-cuda`` and ``ptxas``, which ``pip install '.[test]'`` brings. The driver is not needed,
nor may it be the simulator. With ``--built-in`` it is not ``numba-cuda`` that compiles but the older target
inside Numba, to which the kernels are written as well.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]


NVVM = "*/nvvm/lib64/libnvvm.so*"


def of_nvidia(pattern: str) -> Path | None:
    """Return a path in NVIDIA's packages, the first that fits a pattern."""
    spec = find_spec("nvidia")  # their namespace
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((path for folder in folders for path in Path(folder).glob(pattern)), None)


def ptxas() -> str | None:
    """Return the path of ``ptxas``: NVIDIA's package's, else the one on the path."""
    return str(of_nvidia("*/bin/ptxas") or shutil.which("ptxas") or "") or None


def why_not(built_in: bool = False) -> str | None:
    """Return why nothing can be compiled here, or None."""
    if not built_in and find_spec("numba_cuda") is None:
        return "numba-cuda is not installed"
    if ptxas() is None:
        return "ptxas is not installed (package nvidia-cuda-nvcc-cu12)"
    if built_in and of_nvidia(NVVM) is None:
        return "NVVM is not installed (package nvidia-cuda-nvcc-cu12)"
    return None


def choose_built_in() -> None:
    """Make ``numba.cuda`` the target inside Numba, with the NVVM that ``ptxas`` came with."""
    # The package numba-cuda takes that name over by a finder, which Python installs when it starts.
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "NumbaCudaFinder"]
    library = of_nvidia(NVVM)
    os.environ["CUDA_HOME"] = str(library.parents[2])
    from numba import cuda
    from numba.cuda.cudadrv import nvvm

    if getattr(cuda, "implementation", "") == "NVIDIA":
        raise RuntimeError(f"numba.cuda is still that of numba-cuda: {cuda.__file__}")
    nvvm.open_cudalib = lambda name: ctypes.CDLL(str(library))  # or it takes any that the system has


# --- noting what would be launched -------------------------------------------------------------


class Shape:
    """An array that has a shape, a dtype and no cells."""

    def __init__(self, shape: Any, dtype: Any, contiguous: bool = True) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
        self.dtype, self.contiguous = np.dtype(dtype), contiguous
        self.ndim, self.size = len(self.shape), prod(self.shape)

    def reshape(self, *shape: Any) -> Shape:
        shape = shape[0] if isinstance(shape[0], tuple) else shape
        return Shape(shape, self.dtype)

    def view(self, dtype: Any) -> Shape:
        nbytes = self.size * self.dtype.itemsize
        return Shape(nbytes // np.dtype(dtype).itemsize, dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> Shape:
        return Shape((len(range(*part.indices(self.shape[0]))), *self.shape[1:]), self.dtype)


def type_of(argument: Any) -> Any:
    """Return the type by which Numba compiles for an argument."""
    from numba import typeof, types
    from numba.np.numpy_support import from_dtype

    if isinstance(argument, Shape):
        return types.Array(from_dtype(argument.dtype), argument.ndim, "C" if argument.contiguous else "A")
    if isinstance(argument, tuple):
        return types.Tuple([type_of(a) for a in argument])
    return typeof(argument)


def launches() -> dict[tuple[Any, Any, int], str]:
    """Return (kernel, types, threads of a block) -> the registry's lines that launch it, for all."""
    from convkit._cuda import target

    noted: dict[tuple[Any, Any, int], set[str]] = {}
    line = ""

    def launch(kernel: Any, grid: Any, block: Any, *arguments: Any) -> None:
        key = kernel, tuple(map(type_of, arguments)), int(np.prod(block))
        noted.setdefault(key, set()).add(line)

    def table(host: np.ndarray) -> Shape:
        if host.dtype.kind != "i":  # kernels would count by it, and the simulator would let them
            raise TypeError(f"{line}: an index table of {host.dtype}")
        return Shape(host.shape, host.dtype)

    target.launch = launch
    target.table = table
    target.device_array = Shape
    target.device_number = lambda: 0
    target.to_device = lambda array: Shape(array.shape, array.dtype)

    from device import is_tensor

    from convkit import dispatch

    for kernel in (k for k in dispatch.KERNELS if k.backend == "cuda"):
        line = f"{kernel.op} {kernel.algorithm}"
        function = dispatch.load(kernel).kernel
        for outputs, inputs in calls(kernel.op):
            shapes = [
                Shape(a.shape, a.dtype) if isinstance(a, np.ndarray) and is_tensor(a) else a for a in inputs
            ]
            function(*(Shape(a.shape, a.dtype) for a in outputs), *shapes)
    line = "arrays of any library"
    for kernel, arguments in small_kernels():
        launch(kernel, 1, target.THREADS, *arguments)
    return {key: ", ".join(sorted(lines)) for key, lines in noted.items()}


def calls(op: str) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield arguments of an operation in both dtypes: small cases, and layers that fill a GPU."""
    from cuda_cases import BEYOND
    from kernel_cases import CASES
    from kernel_geometries import SAME, Convolution

    for case in (c for c in (*CASES, *BEYOND) if c.op == op):
        for dtype in ("float32", "float64"):
            outputs, inputs, _ = case.arguments(dtype)
            yield outputs, inputs
    for channels in (64, 128):  # each for a tile of its own
        large = Convolution("", (32, channels, 56, 56), channels, (3, 3), padding=SAME)
        arrays = {
            "conv2d": ([large.y], [large.x, large.w, large.w[:1]]),
            "conv_transpose2d": ([large.x], [large.y, large.w, large.x[1:2]]),
            "conv2d_grad_w": ([large.w], [large.y, large.x]),
        }
        for dtype in ("float32", "float64") if op in arrays else ():
            outputs, inputs = ([np.broadcast_to(np.zeros((), dtype), s) for s in part] for part in arrays[op])
            yield outputs, [*inputs, *large.tables]


def small_kernels() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the kernels that do for device arrays what NumPy does for its own, and arguments of each."""
    from convkit._cuda import border

    def five(dtype: Any, contiguous: bool) -> Shape:
        return Shape((1, 1, 1, 1, 3), dtype, contiguous)

    for dtype in (np.float32, np.float64, np.int64, np.bool_):  # indices and masks too
        yield border._copy, (five(dtype, True), five(dtype, False))
        yield border._fill, (Shape(3, dtype), dtype(1))
    for dtype in (np.float32, np.float64):
        v, wide = Shape(3, dtype), Shape(3, np.float64)
        yield border._copy, (five(dtype, False), five(dtype, True))  # into an `out` of any strides
        yield border._copy, (five(dtype, False), five(dtype, False))
        yield border._copy, (five(np.float64, True), five(dtype, True))
        yield border._turn, (v, v, 3)
        yield border._invstd, (wide, v, 0.5)
        yield border._move, (v, wide, 0.5, 0.5)
    yield border._mean_of_rows, (wide, Shape((1, 3), np.float64))


# --- compiling ---------------------------------------------------------------------------------


def compiled(noted: dict[tuple[Any, Any, int], str], cc: tuple[int, int]) -> list[dict[str, Any]]:
    """Compile kernels for a compute capability; return a row of figures for each."""
    from numba import cuda
    from numba.cuda import dispatcher

    # Functions that kernels call are compiled for the current device, and there need not be one.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=cc)
    rows = []
    for (kernel, types, threads), lines in noted.items():
        ptx, _ = cuda.compile_ptx(kernel.py_func, types, cc=cc)
        row = {
            "kernel": name_of(kernel.py_func),
            "types": sorted({str(t.dtype) for t in types if hasattr(t, "dtype") and "float" in str(t.dtype)}),
            "lines": lines,
            "threads": threads,
            "cc": f"{cc[0]}.{cc[1]}",
            "vector loads from shared memory": len(re.findall(r"ld\.shared\.v[24]", ptx)),
            "barriers": len(re.findall(r"bar\.sync|barrier\.sync", ptx)),
            "instructions in double": len(re.findall(r"^\s+[a-z][\w.]*\.f64\b", ptx, re.MULTILINE)),
            **assembled(ptx, cc),
        }
        rows.append(row)
    return sorted(rows, key=lambda r: (r["lines"], r["kernel"], r["types"], -r["registers"]))


def name_of(function: Any) -> str:
    """Return ``module:function`` of a kernel, and what it is made of if it was made for a device function."""
    inside = [cell.cell_contents for cell in function.__closure__ or ()]
    parts = [f.py_func.__name__ for f in inside if hasattr(f, "py_func")]
    module = function.__module__.removeprefix("convkit._cuda.")
    return f"{module}:{function.__name__}" + "".join(f" of {part}" for part in parts)


def assembled(ptx: str, cc: tuple[int, int]) -> dict[str, int]:
    """Return what ``ptxas`` says that a kernel takes of a multiprocessor."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = [
            str(ptxas()),
            f"-arch=sm_{cc[0]}{cc[1]}",
            "-v",
            str(source),
            "-o",
            f"{folder}/kernel.cubin",
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr

    def number(pattern: str) -> int:
        found = re.search(pattern, said)
        return int(found.group(1)) if found else 0

    return {
        "registers": number(r"Used (\d+) registers"),
        "shared bytes": number(r"(\d+) bytes smem"),
        "spilled bytes": number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads"),
        "stack bytes": number(r"(\d+) bytes stack frame"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile every CUDA kernel without a GPU.")
    parser.add_argument(
        "--cc",
        nargs="*",
        default=["8.0", "9.0"],
        help="compute capabilities: 8.0 is an A100, 9.0 an H100 or H200",
    )
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument(
        "--built-in", action="store_true", help="compile by the target inside Numba, not by numba-cuda"
    )
    options = parser.parse_args()
    if reason := why_not(options.built_in):
        parser.exit(2, f"{reason}\n")
    if options.built_in:
        choose_built_in()
    noted, rows = launches(), []
    for cc in options.cc:
        major, minor = map(int, cc.split("."))
        rows += compiled(noted, (major, minor))
    for row in rows:
        takes = f"{row['registers']:4d} registers x {row['threads']:3d} threads"
        takes += f", {row['shared bytes']:5d} B shared"
        lost = f"{row['spilled bytes']} B spilled, {row['stack bytes']} B stack"
        print(f"{takes}, {lost}  {row['cc']} {row['kernel']} {'/'.join(row['types'])}  ({row['lines']})")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
