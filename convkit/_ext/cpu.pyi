OPENMP: bool
DEBUG: bool
COMPILER: str

def instruction_sets() -> tuple[str, ...]: ...
