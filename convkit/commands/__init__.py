"""The subcommands of ``convkit`` that explain and check: one module each.

A module has ``add(commands)``, which describes its command to argparse and sets ``run``, a function
of the parsed arguments that returns the exit code. All that is heavy is imported inside `run`.
"""

from __future__ import annotations

__all__ = ["Failure"]


class Failure(Exception):
    """Ends the command with a line on standard error and an exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
