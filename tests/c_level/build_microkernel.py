"""Compile microkernel_driver.pyx for an instruction set: ``python build_microkernel.py FOLDER ISA``."""

import shutil
import sys
from pathlib import Path

FLAGS = {"v2": ["-march=x86-64-v2"], "v3": ["-march=x86-64-v3"], "v4": ["-march=x86-64-v4"], "base": []}


def main(folder: str, isa: str) -> None:
    """Build, from a copy of the source, because one source makes one C file."""
    from Cython.Build import cythonize
    from setuptools import Extension
    from setuptools.dist import Distribution

    import convkit

    packages = Path(convkit.__file__).parent.parent
    source = Path(folder, "microkernel_driver.pyx")
    shutil.copy2(Path(__file__).with_name(source.name), source)
    extension = Extension(
        "microkernel_driver",
        [str(source)],
        depends=sorted(str(p) for p in (packages / "convkit").rglob("*.pxd")),
        extra_compile_args=["-std=gnu11", "-ffp-contract=fast", "-O2", *FLAGS[isa]],
    )
    extensions = cythonize([extension], include_path=[str(packages)], language_level=3, quiet=True)
    build = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib = build.build_temp = folder
    build.ensure_finalized()
    build.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
