"""Compile driver.pyx into a folder: ``python build_driver.py FOLDER``.

It is compiled against the .pxd files of the convkit that Python imports, installed or not, as any
other project's Cython code would be.
"""

import sys
from pathlib import Path


def main(folder: str) -> None:
    """Build, or do nothing where the module in `folder` is newer than what it is made from."""
    from Cython.Build import cythonize
    from setuptools import Extension
    from setuptools.dist import Distribution

    import convkit

    packages = Path(convkit.__file__).parent.parent
    pxd = sorted(str(p) for p in (packages / "convkit").rglob("*.pxd"))
    source = Path(__file__).with_name("driver.pyx")
    extension = Extension("convkit_c_level_driver", [str(source)], depends=pxd)
    extensions = cythonize(
        [extension], build_dir=folder, include_path=[str(packages)], language_level=3, quiet=True
    )
    build = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    build.build_lib = build.build_temp = folder
    build.ensure_finalized()
    build.run()


if __name__ == "__main__":
    main(sys.argv[1])
