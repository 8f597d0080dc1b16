"""How threads share a stack of planes: each takes a piece of a column.

Columns are counted through the stack: number q is column ``q % W`` of plane ``q // W``. Neighbouring threads
take neighbouring columns, so that the 32 accesses of a warp fall into as few cache lines as can be.
Going down a column, the next cell is W further on. To take cells in the order of memory instead, a
thread would have to find plane, row and column of each by divisions: some hundred instructions a cell,
where an H200 (4.3 TB/s, 33 tera-instructions a second) has time for 60 while a float32 comes and goes.

A thread takes :data:`BATCH` cells before it stores the first. A load needs some 700 ns to come back, in
which an H200 can move 22 KiB for each multiprocessor. With the 768 threads that 70 to 80 registers each
leave room for, one load of 4 bytes would be 3 KiB on their way; eight of them keep the memory busy.
"""

from __future__ import annotations

from typing import Any

from .target import THREADS, grid_for, launch

__all__ = ["BATCH", "launch_columns"]

BATCH = 8
"""Cells that a thread loads before it stores the first."""

ROWS = 16
"""Rows that a thread goes down at most. It pays for one division by W; there must be threads enough, too."""


def launch_columns(kernel: Any, planes: tuple[int, int, int], *arguments: Any) -> None:
    """Start a kernel on `planes` = (P, H, W), for which it needs three more arguments.

    These are the number of blocks that lie side by side, all blocks, and the rows of each.
    """
    P, H, W = planes
    across = -(-P * W // THREADS)
    pieces = -(-H // ROWS)
    blocks = across * pieces
    launch(kernel, grid_for(blocks, 1), THREADS, *arguments, across, blocks, -(-H // pieces))
