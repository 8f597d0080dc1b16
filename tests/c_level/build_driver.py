"""Compile call_*.pyx as any other project would: against the .pxd files of the convkit in use."""

import fcntl
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
SOURCES = sorted(HERE.glob("call_*.pyx"))


def driver() -> SimpleNamespace:
    """Return all functions of the compiled modules. One process builds what is out of date; others wait."""
    folder = HERE.parent.parent / "build" / "c_level"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, __file__, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    functions: dict[str, object] = {}
    for source in SOURCES:
        (built,) = folder.glob(f"{source.stem}.{sys.implementation.cache_tag}*")
        spec = importlib.util.spec_from_file_location(source.stem, built)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        functions |= vars(module)
    return SimpleNamespace(**functions)


def build(folder: str) -> None:
    """Compile into `folder`, unless what is there is newer than what it is made from."""
    from Cython.Build import cythonize
    from setuptools import Extension
    from setuptools.dist import Distribution

    import convkit

    packages = Path(convkit.__file__).parent.parent
    pxd = sorted(str(p) for p in [*(packages / "convkit").rglob("*.pxd"), *HERE.glob("*.pxd")])
    extensions = cythonize(
        [Extension(source.stem, [str(source)], depends=pxd) for source in SOURCES],
        build_dir=folder,
        include_path=[str(packages), str(HERE)],
        language_level=3,
        quiet=True,
    )
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = command.build_temp = folder
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    build(sys.argv[1])
