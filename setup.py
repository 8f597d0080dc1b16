"""Compile the Cython kernels: once for each instruction set on x86-64, once elsewhere.

``convkit/_ext/padding.pyx`` becomes ``convkit._ext.v2.padding``, ``.v3.padding`` and
``.v4.padding``; ``convkit._ext`` picks one at import. What the CPU has no say in (:data:`ONCE`) is
compiled once. Everything else about the project is in pyproject.toml.

Environment variables
---------------------
CONVKIT_DEBUG=1
    No optimisation, debugger symbols, Cython's own checks, and outputs filled with NaN before each
    call from Python, so that a cell which a kernel leaves out or reads shows.
CONVKIT_NO_OPENMP=1
    Build as if the compiler had no OpenMP: the kernels then run on one thread.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError, PlatformError

ROOT = Path(__file__).parent
KERNELS = Path("convkit/_ext")
ONCE = ("border", "cpu", "threads", "streaming", "kernels")

DEBUG = os.environ.get("CONVKIT_DEBUG", "0") not in ("", "0")
NO_OPENMP = os.environ.get("CONVKIT_NO_OPENMP", "0") not in ("", "0")

if platform.machine().lower() in ("x86_64", "amd64"):
    INSTRUCTION_SETS = {
        "v2": ["-march=x86-64-v2"],  # SSE4.2
        "v3": ["-march=x86-64-v3"],  # AVX2 and FMA
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],  # AVX-512
    }
else:
    INSTRUCTION_SETS = {"base": []}

# -ffast-math, here or at link time, would flush subnormal numbers to zero in the whole process.
# gnu11, because -std=c11 forbids the contraction of a*b + c to one fused multiply-add.
FLAGS = ["-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
FLAGS += ["-O0", "-g"] if DEBUG else ["-O3", "-g0"]
FLAGS += ["-Wno-unused-function", "-Wno-unused-but-set-variable", "-Wno-unknown-pragmas"]

DIRECTIVES = {
    "language_level": 3,
    "embedsignature": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "freethreading_compatible": False,
}


def extensions() -> list[Extension]:
    """Return every extension, each once for each instruction set that it is compiled for."""
    sources = sorted(p.relative_to(ROOT) for p in (ROOT / KERNELS).rglob("*.pyx"))
    once = [s for s in sources if s.parent == KERNELS and s.stem in ONCE]
    kernels = [s for s in sources if s not in once]
    return [extension(KERNELS.parts, s, []) for s in once] + [
        extension((*KERNELS.parts, isa), s, flags) for isa, flags in INSTRUCTION_SETS.items() for s in kernels
    ]


def declarations(source: Path) -> list[str]:
    """Return the .pxd files of ours that `source` cimports, directly or through others, and its own."""
    found: set[Path] = set()
    new = {source, source.with_suffix(".pxd")}
    while new := {path for path in new - found if path.exists()}:
        found |= new
        text = "".join(path.read_text() for path in new)
        names = re.findall(r"from convkit\._ext\.([\w.]+) cimport", text)
        names += re.findall(r"\w+", " ".join(re.findall(r"from convkit\._ext cimport (\([^)]*\)|.+)", text)))
        new = {KERNELS.joinpath(*name.split(".")).with_suffix(".pxd") for name in names}
    return sorted(path.as_posix() for path in found - {source})


def extension(package: tuple[str, ...], source: Path, flags: list[str]) -> Extension:
    """Return the extension that `source` becomes inside `package`."""
    import numpy as np

    return Extension(
        ".".join([*package, *source.relative_to(KERNELS).with_suffix("").parts]),
        [source.as_posix()],
        depends=declarations(source),
        include_dirs=[np.get_include()],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("CONVKIT_DEBUG", str(int(DEBUG))),
        ],
        extra_compile_args=FLAGS + flags,
    )


def instruction_set(ext: Extension) -> str:
    """Return the instruction set that an extension is compiled for, or ``"once"``."""
    folder = ext.name.split(".")[len(KERNELS.parts)]
    return folder if folder in INSTRUCTION_SETS else "once"


class BuildKernels(build_ext):
    """Probe the compiler, translate each instruction set's sources, compile them side by side."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        if self.inplace:  # an editable install would start from an empty folder each time
            self.build_lib = "build/inplace"

    def build_extensions(self) -> None:
        if self.compiler.compiler_type != "unix":
            raise PlatformError("convkit needs GCC or Clang: its kernels use their vector types")
        openmp = self.openmp_flags()
        # What was built by other rules is built again; an interrupted build leaves no note behind.
        note = Path("build", f"settings-{Path(self.build_lib).name}.json")
        settings = json.dumps([FLAGS, INSTRUCTION_SETS, DIRECTIVES, openmp, self.compiler.compiler_so])
        if not note.exists() or note.read_text() != settings:
            self.force = True
            note.unlink(missing_ok=True)
        self.translate()
        for ext in self.extensions:
            ext.extra_compile_args += openmp
            ext.extra_link_args += openmp
        super().build_extensions()
        note.parent.mkdir(exist_ok=True)
        note.write_text(settings)

    def openmp_flags(self) -> list[str]:
        """Return the flags for OpenMP, or none if a program that uses it does not compile and link.

        Raises
        ------
        PlatformError
            If there is no compiler that compiles even an empty program.
        """
        apple = sys.platform == "darwin"
        flags = [] if NO_OPENMP else ["-Xpreprocessor", "-fopenmp", "-lomp"] if apple else ["-fopenmp"]
        if not self.compiles("#include <Python.h>\nint main(void) { return 0; }", []):
            raise PlatformError(
                "convkit is compiled when it is installed, and the C compiler "
                f"{self.compiler.compiler[0]!r} does not work: install GCC or Clang and Python's headers "
                "(Debian: apt install gcc python3-dev)"
            )
        program = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }"
        if flags and self.compiles(program, flags):
            return flags
        reason = "CONVKIT_NO_OPENMP is set" if NO_OPENMP else "the compiler has no OpenMP"
        print(f"convkit: {reason}: the compiled kernels will run on one thread", file=sys.stderr)
        return []

    def compiles(self, program: str, flags: list[str]) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=flags)
                self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=flags)
            except (CompileError, LinkError, PlatformError, subprocess.SubprocessError, OSError):
                return False
        return True

    def translate(self) -> None:
        """Run Cython over each instruction set's sources, in a folder and a call of its own.

        One call with three extensions over one source would write all three to one C file.
        """
        try:
            from Cython.Build import cythonize
        except ImportError:
            raise PlatformError(
                "convkit is compiled from Cython, which is missing: run `pip install .`, which fetches it, "
                "or `pip install 'Cython>=3.3,<3.4'` before --no-build-isolation"
            ) from None
        # Cython follows a cimport of a sibling file, but not `from convkit._ext cimport ...`.
        for ext in self.extensions:
            c_source = Path("build", "cython", instruction_set(ext), ext.sources[0]).with_suffix(".c")
            newest = max((Path(p).stat().st_mtime for p in ext.depends), default=0.0)
            if c_source.exists() and c_source.stat().st_mtime < newest:
                c_source.unlink()
        for isa in ("once", *INSTRUCTION_SETS):
            group = [ext for ext in self.extensions if instruction_set(ext) == isa]
            translated = cythonize(
                group,
                build_dir=f"build/cython/{isa}",
                compiler_directives=DIRECTIVES,
                force=self.force,
                nthreads=self.parallel,
                quiet=True,
            )
            c_sources = {ext.name: ext.sources for ext in translated}
            for ext in group:  # kept, because setuptools has noted things of its own on them
                ext.sources = c_sources[ext.name]

    def copy_extensions_to_source(self) -> None:
        for ext in self.extensions:
            Path(*ext.name.split(".")[:-1]).mkdir(parents=True, exist_ok=True)
        super().copy_extensions_to_source()


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
