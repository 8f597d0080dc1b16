"""The CUDA convolutions beyond the contract's cases: groups wide enough for the matrix products' tiles."""

import numpy as np
import pytest
from device import affordable, is_tensor, on_device
from kernel_cases import CASES
from test_contract import assert_outputs, load, reference, run

from convkit import dispatch

if dispatch.why_not("cuda"):
    pytest.skip(f"cuda: {dispatch.why_not('cuda')}", allow_module_level=True)

from cuda_cases import CONVOLVED

from convkit._cuda import conv_grad_w, depthwise, target
from convkit._cuda.ladder import conv_register_tile, conv_vectors
from convkit._cuda.tiles import Tile, tiles

PRODUCTS = "conv2d", "conv_transpose2d", "conv2d_grad_w"
CUDA = [k for k in dispatch.KERNELS if k.backend == "cuda" and k.op in PRODUCTS]


@pytest.mark.parametrize("case", CONVOLVED, ids=str)
def test_wide_groups(case):
    arguments = case.arguments("float32")
    want = run(reference(case.op), arguments)
    for kernel in (k for k in CUDA if k.op == case.op):
        assert_outputs(run(load(kernel), arguments), want, arguments.bounds)


@pytest.mark.skipif(not target.SIMULATED, reason="a GPU's tiles are these")
@pytest.mark.parametrize(
    "tile", [Tile(64, 64, 8, 4, 4), Tile(64, 128, 8, 8, 8), Tile(128, 128, 8, 8, 8)], ids=str
)
@pytest.mark.parametrize("module", [conv_register_tile, conv_vectors])
def test_tiles_of_a_gpu(module, tile, monkeypatch):
    """The simulator's own tile is smaller: here its threads are as many as those of a GPU's block."""
    monkeypatch.setattr(module, "tile_for", lambda *layer: tile)
    monkeypatch.setattr(module, "QUAD", 4, raising=False)
    module.kernel_for.cache_clear()
    (case,) = (c for c in CONVOLVED if str(c) == "conv2d-tile-groups")
    arguments = case.arguments("float32")
    assert_outputs(run(on_device(module.conv2d, 0), arguments), run(reference("conv2d"), arguments), [0.0])
    module.kernel_for.cache_clear()


@pytest.mark.parametrize("op", PRODUCTS)
def test_cases_lead_to_the_tiles(op, monkeypatch):
    """Some cases with steps, with groups, and with windows that leave gaps must reach the tile kernel."""
    dtype = np.dtype("float32")
    tile_kernels = [m.kernel_for(dtype, t) for m in (conv_vectors, conv_grad_w) for t in tiles(dtype)]
    launched = []
    for module in (conv_vectors, conv_grad_w, depthwise):
        for name in ("launch", "launch_each"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda kernel, *_: launched.append(kernel))
    (line,) = (k for k in CUDA if (k.op, k.algorithm) == (op, "direct"))
    function, reached = dispatch.load(line).kernel, []
    for case in (c for c in (*CASES, *CONVOLVED) if c.op == op and affordable(c)):
        outputs, inputs, _ = case.arguments("float32")
        there = [
            target.device_array(a.shape, a.dtype) if isinstance(a, np.ndarray) and is_tensor(a) else a
            for a in (*outputs, *inputs)
        ]
        launched.clear()
        function(*there)
        if any(kernel in tile_kernels for kernel in launched):
            x, w = {"conv2d": (1, 2), "conv_transpose2d": (0, 2), "conv2d_grad_w": (2, 0)}[op]
            (_, IC, _, _), (_, ICG, KH, KW) = there[x].shape, there[w].shape
            *_, SH, SW, _, _ = inputs
            reached.append((SH > 1 and SW > 1, IC > ICG, SH > KH or SW > KW))
    for what, having in zip(("steps", "groups", "gaps"), zip(*reached, strict=True), strict=True):
        assert any(having), f"no case with {what} reaches the tiles"
