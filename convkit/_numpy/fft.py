"""Convolution by the Fourier transform: one product for each frequency instead of one for each tap.

    y = F^-1 [ F x * conj(F w) ]           conj, because networks mean correlation

Its cost does not depend on the size of the kernel, only on that of the image: it wins for kernels of
some 20x20 and more. Filters are padded to the size of the image, so for many channels their
transforms are most of the time and of the memory. Stride computes all outputs and drops some;
dilation puts zeros between the taps.

Rounding: every output receives a share of the rounding of all inputs, so an error is small beside the
image as a whole, ``4 * eps * sum over ic of |x[ic]| * |w[ic]|`` in Euclidean norms, and not beside the
window; one NaN in x fills the image.
"""

from __future__ import annotations

import numpy as np

from ..geometry import check_allocation


def sizes(KH, KW, OH, OW, SH, SW, DH, DW) -> tuple[int, int]:
    """Return the lengths of the transforms: the cells that windows reach, or a little more."""
    from scipy.fft import next_fast_len

    reach = (OH - 1) * SH + (KH - 1) * DH + 1, (OW - 1) * SW + (KW - 1) * DW + 1
    return next_fast_len(reach[0], real=True), next_fast_len(reach[1], real=True)


def workspace_bytes(layer, itemsize, *geometry) -> int:
    """Return how many bytes the transforms take: of inputs, filters (twice) and outputs."""
    H, W = sizes(*layer[4:])
    planes = layer.N * (2 * layer.IC + 2 * layer.OC) + 2 * layer.OC * layer.IC // layer.G
    return planes * H * (W // 2 + 1) * 2 * itemsize


@np.errstate(all="ignore")
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    from scipy.fft import irfft2, rfft2

    (N, OC, OH, OW), (_, ICG, KH, KW) = y.shape, w.shape
    G, size = x.shape[1] // ICG, sizes(KH, KW, OH, OW, SH, SW, DH, DW)
    _check_memory((OC, ICG, size[0], size[1] // 2 + 1), 2 * w.itemsize)
    ih, iw = ih_of[: size[0], None], iw_of[None, : size[1]]
    planes = x[:, :, ih, iw]
    planes[:, :, (ih < 0) | (iw < 0)] = 0
    apart = np.zeros((OC, ICG, (KH - 1) * DH + 1, (KW - 1) * DW + 1), w.dtype)
    apart[:, :, ::DH, ::DW] = w
    # Frequencies first: the sum over channels is then one matrix product each.
    fx = np.moveaxis(rfft2(planes, size).reshape(N, G, ICG, -1), -1, 0).swapaxes(1, 2)
    fw = np.moveaxis(rfft2(apart, size).conj().reshape(G, OC // G, ICG, -1), -1, 0).swapaxes(2, 3)
    fy = np.moveaxis((fx @ fw).swapaxes(1, 2), 0, -1).reshape(N, OC, size[0], -1)
    everywhere = irfft2(fy, size)
    y[...] = everywhere[:, :, : (OH - 1) * SH + 1 : SH, : (OW - 1) * SW + 1 : SW]
    y += b[:, None, None]


def _check_memory(shape, itemsize) -> None:
    try:
        check_allocation((2, *shape), itemsize, "fft: transforms of the filters, and their copy,")
    except MemoryError as error:
        raise MemoryError(f"{error}; algorithm='direct' needs none of it") from error
