"""Arrays between two forbidden pages of memory."""

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
CANARY = 0xA5
PROT_NONE = 0


class Guarded:
    """A copy of an array that ends (or begins) exactly where memory stops being accessible.

    One element too far is then a segmentation fault. On the other side, up to the page's edge,
    stand canary bytes. Inputs can be made read-only for the processor itself.

    Parameters
    ----------
    array : ndarray
        Copied; C-contiguous afterwards.
    at_end : bool
        Whether the forbidden page follows the last element or precedes the first.
    """

    def __init__(self, array: np.ndarray, at_end: bool) -> None:
        room = -(-array.nbytes // PAGE) * PAGE
        self._memory = mmap.mmap(-1, room + 2 * PAGE)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self._room = room
        start = PAGE + (room - array.nbytes if at_end else 0)
        self._bytes[PAGE : PAGE + room] = CANARY
        self._inside = slice(start, start + array.nbytes)
        self.array = self._bytes[self._inside].view(array.dtype).reshape(array.shape)
        self.array[...] = array
        self._protect(0, PAGE, PROT_NONE)
        self._protect(PAGE + room, PAGE, PROT_NONE)

    @property
    def address(self) -> int:
        """Where the first element lies."""
        return self.array.ctypes.data

    def freeze(self) -> "Guarded":
        """Make the array read-only: from now on a write is a segmentation fault too."""
        self._protect(PAGE, self._room, mmap.PROT_READ)
        return self

    def canaries_live(self) -> bool:
        """Return whether the bytes beside the array are as they were."""
        outside = self._bytes[PAGE : PAGE + self._room].copy()
        outside[self._inside.start - PAGE : self._inside.stop - PAGE] = CANARY
        return bool(np.all(outside == CANARY))

    def _protect(self, offset: int, length: int, mode: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        start = ctypes.c_void_p(self._bytes.ctypes.data + offset)
        if libc.mprotect(start, ctypes.c_size_t(length), mode):
            raise OSError(ctypes.get_errno(), "mprotect failed")
