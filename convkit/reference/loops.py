"""Rung zero: the definitions in bare Python, one multiplication or addition at a time.

Nothing is vectorised and nothing is hidden; a few thousand times slower than the compiled kernels,
and the place to start reading. Python's floats are float64.
"""

from __future__ import annotations

from math import inf, sqrt

from . import quiet


@quiet
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW):
    """Convolution in seven loops: two choose image and filter, two the pixel, three sum."""
    N, OC, OH, OW = y.shape
    OC, ICG, KH, KW = w.shape
    OCG = OC * ICG // x.shape[1]
    for n in range(N):
        for oc in range(OC):
            first = oc // OCG * ICG  # the first input channel of this filter's group
            for oh in range(OH):
                for ow in range(OW):
                    acc = 0.0
                    for c in range(ICG):
                        for kh in range(KH):
                            for kw in range(KW):
                                ih = ih_of[oh * SH + kh * DH]
                                iw = iw_of[ow * SW + kw * DW]
                                real = ih >= 0 and iw >= 0
                                pixel = float(x[n, first + c, ih, iw]) if real else 0.0
                                acc += float(w[oc, c, kh, kw]) * pixel
                    y[n, oc, oh, ow] = acc + float(b[oc])


@quiet
def avg_pool2d(y, x, h_windows, w_windows):
    """Average pooling in five loops: add up each window, and divide."""
    P, OH, OW = y.shape
    for p in range(P):
        for oh in range(OH):
            for ow in range(OW):
                h0, h1, h_divisor = h_windows[oh]
                w0, w1, w_divisor = w_windows[ow]
                acc = 0.0
                for ih in range(h0, h1):
                    for iw in range(w0, w1):
                        acc += float(x[p, ih, iw])
                y[p, oh, ow] = acc / (float(h_divisor) * float(w_divisor))


@quiet
def normalize(y, mean, var, x, weight, bias, eps):
    """Normalisation in two passes over the values: the mean, then the variance; a third writes y.

    Values are counted from the first one, so that equal values differ from their mean by exactly 0.
    """
    N, G, P, S = x.shape
    W, M = len(weight), N * P * S
    for g in range(G):
        first = float(x[0, g, 0, 0])
        acc = 0.0
        for n in range(N):
            for p in range(P):
                for s in range(S):
                    acc += float(x[n, g, p, s]) - first
        mu = first + acc / M

        acc = 0.0
        for n in range(N):
            for p in range(P):
                for s in range(S):
                    centred = float(x[n, g, p, s]) - mu
                    acc += centred * centred
        sigma2 = acc / M

        mean[g], var[g] = mu, sigma2
        sd = sqrt(sigma2 + eps)
        invstd = 1.0 / sd if sd != 0.0 else inf  # as IEEE divides; Python would raise
        for n in range(N):
            for p in range(P):
                for s in range(S):
                    xhat = (float(x[n, g, p, s]) - mu) * invstd
                    y[n, g, p, s] = float(weight[g % W, p]) * xhat + float(bias[g % W, p])
