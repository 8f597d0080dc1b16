"""conv2d, one thread an output.

The first thought on a GPU: outputs do not depend on each other, so each gets a thread, which runs
the loops over channels and taps by itself. Threads are numbered along the channels first, as a matrix
product in a textbook would be, so neighbours in a warp read the same pixels but filters that lie far
apart, and write cells that lie a whole plane apart: 32 threads touch 32 sectors of 32 bytes where four
would do. Two loads, of 8 bytes in float32, serve one multiply-add (2 FLOPs): expect the memory
system to be busy and the arithmetic units to wait.
"""

from ..target import cuda, jit, launch_each, table

__all__ = ["conv2d", "kernel"]


@jit
def kernel(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    _, OC, OH, OW = y.shape
    _, ICG, KH, KW = w.shape
    OCG = OC // (x.shape[1] // ICG)
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        oc = i % OC  # the fastest index, and the slowest to reach in memory
        ow = i // OC % OW
        oh = i // OC // OW % OH
        n = i // OC // OW // OH
        first = oc // OCG * ICG
        acc = b[oc]
        for ic in range(ICG):
            for kh in range(KH):
                ih = ih_of[oh * SH + kh * DH]
                for kw in range(KW):
                    iw = iw_of[ow * SW + kw * DW]
                    value = x.dtype.type(0)
                    if ih >= 0 and iw >= 0:
                        value = x[n, first + ic, ih, iw]
                    acc += w[oc, ic, kh, kw] * value
        y[n, oc, oh, ow] = acc


def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolve x (N, IC, IH, IW) with w (OC, IC/G, KH, KW) and b (OC,) into y (N, OC, OH, OW)."""
    launch_each(kernel, y.size, y, x, w, b, table(ih_of), table(iw_of), SH, SW, DH, DW)
