"""Rules of batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from ..model import Call, Case, Operation, Rule, Wrong
from .convolutions import scattered
from .normalizations import (
    EPS,
    MOMENTUM,
    WEIGHT_S_SIGN_LOST,
    along_the_width,
    alternating,
    bias_multiplied,
    bias_subtracted,
    by_biased_statistics,
    by_updated_statistics,
    channels_last,
    compute,
    deviations,
    eps_of,
    eps_rule,
    learned_in_evaluation,
    mean_kept,
    momentum_of_the_old,
    moved,
    normalised_over,
    one_pass,
    running,
    scaled,
    unbiased,
    weight_bias_swapped,
    without,
    without_in_evaluation,
    y_of,
)

__all__ = ["OPERATION"]

# --- cases ---------------------------------------------------------------------------------

SHAPES = (
    (2, 1),
    (3, 1),
    (2, 2),
    (4, 3),
    (2, 1, 1, 1),
    (1, 1, 1, 2),
    (2, 1, 1, 2),
    (2, 2, 1, 2),
    (2, 3, 2, 3),
    (3, 3, 2, 3),
)
LEARNED = frozenset({"training", "running_mean", "running_var"})


def cases() -> Iterator[Case]:
    for shape in SHAPES:
        C = shape[1]
        x = np.array([1.0, 3.0]).reshape(shape) if prod(shape) == 2 else scattered(*shape) / 2
        running_pair = {"running_mean": np.arange(C) + 0.5, "running_var": np.arange(C) + 4.0}
        affine = {"weight": alternating(C), "bias": 10.0 - 3 * np.arange(C)}
        options: tuple[Call, ...] = (
            {},
            {"eps": 0.5},
            {"momentum": 0.3},
            {"weight": affine["weight"]},
            {"bias": affine["bias"]},
            {**affine, "eps": 0.25},
        )
        for option in options:
            yield Case({"x": x, **running_pair, "training": True, **option}, extras=LEARNED)
            if "momentum" not in option:
                yield Case({"x": x, **running_pair, "training": False, **option})
    still = {"running_mean": np.zeros(1), "running_var": np.ones(1), "training": True}
    for shape in ((2, 1), (2, 1, 1, 2)):
        yield Case({"x": np.full(shape, 3.0), **still}, extras=LEARNED)
        small = np.array([0.001, -0.002, 0.004, 0.0015])[: prod(shape)].reshape(shape)
        yield Case({"x": small, **still}, extras=LEARNED)
        for offset in (1e8, -3e8):
            far = offset + np.array([0.0, 1.0, 3.0, -1.0])[: prod(shape)].reshape(shape)
            yield Case({"x": far, **still}, extras=LEARNED, double=True)
        # In float32 the mean of such numbers is off by 6e-5, which is 6e-4 of their standard deviation.
        single = {k: v.astype(np.float32) if isinstance(v, np.ndarray) else v for k, v in still.items()}
        near = np.array([1000.1, 999.9, 1000.3, 999.7], np.float32)[: prod(shape)].reshape(shape)
        yield Case({"x": near, **single}, extras=LEARNED, tolerance=1e-2)


RULES = (
    eps_rule("eps_outside_the_root", scaled(lambda call, var, values: np.sqrt(var) + eps_of(call))),
    eps_rule("eps_subtracted", scaled(lambda call, var, values: np.sqrt(var - eps_of(call)))),
    eps_rule(
        "eps_ignored",
        scaled(lambda call, var, values: np.sqrt(var)),
        scaled(lambda call, var, values: np.sqrt(var + EPS)),
        scaled(lambda call, var, values: np.sqrt(var + 1e-8)),
    ),
    Rule(
        "variance_not_rooted",
        says="The centred values are divided by the standard deviation, the root of the variance.",
        instead="divides by the variance",
        why="The result would have a standard deviation of 1 / sd instead of 1.",
        wrong=(scaled(lambda call, var, values: var + eps_of(call)),),
    ),
    Rule(
        "unbiased_variance",
        says="The batch is normalised by the biased variance: the sum of squares divided by M.",
        instead="normalises by the unbiased variance, divided by M - 1",
        why="PyTorch, TensorFlow and the paper's algorithm divide by M here. `torch.var` and `ddof=1` "
        "divide by M - 1; for two values the results differ by a factor of sqrt(2).",
        wrong=(scaled(unbiased),),
    ),
    Rule(
        "running_var_biased",
        says="The running variance receives the unbiased variance: the sum of squares divided by M - 1.",
        instead="moves the running variance towards the biased variance",
        why="The running variance estimates that of all data, which needs M - 1. ONNX keeps the biased "
        "one; a network moved from one to the other is off by M / (M - 1).",
        wrong=(running(moved, "running_var", biased=True),),
    ),
    Rule(
        "momentum_reversed",
        says="momentum is the weight of the new batch: running = (1 - momentum) * running + momentum * "
        "batch.",
        instead="gives the new batch the weight 1 - momentum",
        why="Keras and ONNX write momentum 0.99 and 0.9 for what PyTorch calls 0.01 and 0.1. Confused, "
        "the running statistics are those of the last batch.",
        wrong=(
            running(lambda old, new, m: m * old + (1 - m) * new, "running_mean", "running_var"),
            momentum_of_the_old(),
        ),
    ),
    Rule(
        "old_statistics_kept_whole",
        says="The old running statistics lose the weight that the new batch gets: running = (1 - momentum) * "
        "running + momentum * batch.",
        instead="adds the batch's share to the running statistics, and takes nothing from the old ones",
        why="A sum whose weights do not add up to one grows with every batch: after a hundred batches of "
        "mean 1 the running mean would be 10.",
        wrong=(running(lambda old, new, m: old + m * new, "running_mean", "running_var"),),
    ),
    Rule(
        "momentum_ignored",
        says="The momentum that is given is the one that is used.",
        instead="moves its running statistics by 0.1 of the way, or all of it, whatever the momentum",
        why="Statistics that are replaced each time remember the last batch alone.",
        wrong=(
            running(lambda old, new, m: moved(old, new, MOMENTUM), "running_mean", "running_var"),
            running(lambda old, new, m: new, "running_mean", "running_var"),
        ),
    ),
    Rule(
        "running_statistics_not_updated",
        says="In training the running statistics are updated, in the arrays that were given.",
        instead="leaves the running statistics as they were",
        why="`running_mean = 0.9 * running_mean + ...` makes a new array that the caller never sees; "
        "`running_mean[:] = ...` or `*=` and `+=` change the one that was given.",
        wrong=(
            running(lambda old, new, m: old, "running_mean", "running_var"),
            running(lambda old, new, m: old, "running_mean"),
            running(lambda old, new, m: old, "running_var"),
        ),
    ),
    Rule(
        "running_standard_deviation",
        says="running_var holds variances.",
        instead="moves running_var towards the standard deviation",
        why="Evaluation takes the root of it once more.",
        wrong=(Wrong(after=deviations),),
    ),
    Rule(
        "running_statistics_learned_in_evaluation",
        says="In evaluation the running statistics are read and not changed.",
        instead="updates the running statistics in evaluation too",
        why="The answer for one image would depend on the images that were shown before.",
        wrong=(Wrong(after=learned_in_evaluation),),
    ),
    Rule(
        "running_statistics_used_in_training",
        says="In training the batch is normalised by its own mean and variance; the running ones do not "
        "enter.",
        instead="normalises by the running statistics in training",
        why="At the start they are 0 and 1, and nothing would be normalised. The noise of the batch's own "
        "statistics belongs to the method.",
        wrong=(
            y_of(lambda call: {**call, "training": False}),
            y_of(by_updated_statistics),
            y_of(by_biased_statistics),
        ),
    ),
    Rule(
        "batch_statistics_used_in_evaluation",
        says="In evaluation the running statistics are used, and the batch's own are not looked at.",
        instead="normalises by the batch's own statistics in evaluation",
        why="The answer for an image would depend on its neighbours in the batch, and a batch of one would "
        "be all zeros.",
        wrong=(
            y_of(lambda call: {**call, "training": True}),
            Wrong(lambda call: {**call, "training": True}),
        ),
    ),
    Rule(
        "statistics_per_image",
        says="One mean and variance a channel, over all images of the batch and all their pixels.",
        instead="normalises every image by statistics of its own",
        why="That is instance normalisation: the same arithmetic over other axes. It is used for style, "
        "because it takes each image's contrast away.",
        wrong=(normalised_over(2, 3), normalised_over(2, 3, vectors=False)),
    ),
    Rule(
        "statistics_per_pixel",
        says="One mean and variance a channel, over the batch and over the pixels too.",
        instead="takes statistics over the batch alone, for every pixel",
        why="`x.mean(axis=0)` is right for (N, C). For images a channel is one feature wherever it is "
        "found, and gets one mean: `axis=(0, 2, 3)`.",
        wrong=(normalised_over(0),),
    ),
    Rule(
        "statistics_of_a_layer",
        says="Statistics are taken for each channel, not over channels.",
        instead="normalises each example over its channels and pixels",
        why="That is layer normalisation, which does not look at the batch.",
        wrong=(normalised_over(1, 2, 3), normalised_over(1, 2, 3, vectors=False)),
    ),
    Rule(
        "one_statistic_for_all_channels",
        says="Every channel has its own mean and variance.",
        instead="has one mean and variance for all channels together",
        why="Channels are different features on different scales; to put each on the same scale is the "
        "point.",
        wrong=(normalised_over(0, 1, 2, 3),),
    ),
    Rule(
        "channels_taken_last",
        says="The channels are the second axis: (N, C, H, W).",
        instead="takes the last axis for the channels",
        why="TensorFlow's images are (N, H, W, C). With as many columns as channels nothing fails, and the "
        "numbers are wrong.",
        wrong=(Wrong(compute=channels_last),),
    ),
    Rule(
        "parameters_along_the_width",
        says="weight and bias (gamma and beta) go with the channels: y[n, c] = weight[c] * z[n, c] + "
        "bias[c].",
        instead="lines weight and bias up with the columns of the picture",
        why="`gamma * z` lines gamma up with the last axis. For (N, C) that is the channels, for images the "
        "columns: `gamma.reshape(1, -1, 1, 1)` is needed there.",
        wrong=(Wrong(compute=along_the_width),),
    ),
    Rule(
        "mean_not_subtracted",
        says="The mean is subtracted before the division.",
        instead="divides by the standard deviation and keeps the mean",
        why="Then only the scale is normalised.",
        wrong=(Wrong(after=mean_kept),),
    ),
    Rule(
        "weight_missing",
        says="The normalised values are multiplied by weight (gamma), channel by channel.",
        instead="accepts a weight and does not use it",
        why="gamma lets the layer choose its own standard deviation, and, with beta, undo the normalisation.",
        wrong=(without("weight"), without_in_evaluation("weight")),
    ),
    WEIGHT_S_SIGN_LOST,
    Rule(
        "bias_missing",
        says="bias (beta) is added last, channel by channel.",
        instead="accepts a bias and does not use it",
        why="beta lets the layer choose its own mean. The bias of the layer before cannot: its mean is "
        "subtracted.",
        wrong=(without("bias"), without_in_evaluation("bias")),
    ),
    Rule(
        "bias_subtracted",
        says="bias (beta) is added: gamma * z + beta.",
        instead="subtracts the bias",
        why="A network that trains its own beta would learn the other sign, but weights from elsewhere are "
        "wrong twice over.",
        wrong=(Wrong(bias_subtracted),),
    ),
    Rule(
        "bias_multiplied",
        says="weight (gamma) multiplies z alone, and bias (beta) is added after that: gamma * z + beta.",
        instead="adds bias before it multiplies by weight",
        why="gamma * (z + beta) has the mean gamma * beta, so the two parameters are no longer independent: "
        "beta is to be the mean, gamma the standard deviation.",
        wrong=(Wrong(bias_multiplied),),
    ),
    Rule(
        "weight_bias_swapped",
        says="weight (gamma) multiplies and bias (beta) is added.",
        instead="multiplies by bias and adds weight",
        why="Before training gamma is 1 and beta 0; exchanged, they make every output 1.",
        wrong=(Wrong(weight_bias_swapped),),
    ),
    Rule(
        "one_pass_variance",
        says="The variance is computed from differences to the mean, in two passes or by Welford's method.",
        instead="loses the variance where the mean is large, as mean(x * x) - mean(x) ** 2 does",
        why="Both terms are then large and almost equal, and their difference is rounding error: in "
        "float32, mean 1000 and standard deviation 0.1 give variance 0.",
        wrong=(Wrong(one_pass),),
    ),
)

OPERATION = Operation(
    name="batch_norm",
    arrays=("x",),
    outputs=("y", "running_mean", "running_var"),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={
        "weight": lambda call: np.ones(call["x"].shape[1], call["x"].dtype),
        "bias": lambda call: np.zeros(call["x"].shape[1], call["x"].dtype),
        "momentum": MOMENTUM,
        "eps": EPS,
        "training": False,
    },
    in_place=("running_mean", "running_var"),
    forms={2: "of shape (N, C)", 4: "of shape (N, C, H, W)"},
)
