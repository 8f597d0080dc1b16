"""The gradient of conv2d for its bias: the sum of each channel.

One pass over dy, and nothing but memory counts. Blocks take chunks of a channel, add up in double, and
leave a sum each; a second kernel adds those of a channel, in the order of the chunks.
"""

from .chunks import chunks_of, onward, share_of
from .reduce import sum_block
from .target import THREADS, cuda, flat, float64, grid_for, jit, launch, launch_each, workspace

__all__ = ["conv2d_grad_b", "sum_chunks", "sum_runs"]


@jit
def sum_runs(partial, dy, N, G, L, runs, columns, pieces, count):
    for block in range(cuda.blockIdx.x, G * count, cuda.gridDim.x):
        g, chunk = block // count, block % count
        values, n, c, stop, down = share_of(chunk, N, L, runs, columns, pieces)
        first = c
        acc = float64(0)
        for _ in range(values):
            acc += dy[(n * G + g) * L + c]
            n, c = onward(n, c, first, stop, down)
        acc, _ = sum_block(acc, acc)
        if cuda.threadIdx.x == 0:
            partial[chunk * G + g] = acc


@jit
def sum_chunks(total, partial, count):
    """Add up `count` arrays that lie one after the other, in that order."""
    for i in range(cuda.grid(1), total.size, cuda.gridsize(1)):
        acc = partial[i]
        for chunk in range(1, count):
            acc += partial[chunk * total.size + i]
        total[i] = acc


def conv2d_grad_b(db, dy):
    """Gradient of conv2d for b: db (OC,) from dy (N, OC, OH, OW)."""
    N, OC, OH, OW = dy.shape
    chunks = chunks_of(N, OC, OH * OW)
    partial = workspace(OC * chunks.number, "float64")
    launch(sum_runs, grid_for(OC * chunks.number, 1), THREADS, partial, flat(dy), N, OC, OH * OW, *chunks)
    launch_each(sum_chunks, OC, db, partial, chunks.number)
