"""Rules of the gradient of dropout, which is all about the mask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...dropout import dropout_backward
from ..model import Call, Case, Operation, Result, Rule, Wrong
from .convolutions import counting

__all__ = ["OPERATION"]


def compute(call: Call) -> Result:
    return {"grad_x": dropout_backward(**call)}


def scaled(factor: float | None) -> Wrong:
    """Survivors multiplied by another factor; None: by 1 - p."""

    def after(result: Result, call: Call) -> Result:
        if not call.get("training", True) or call["p"] == 1:
            return result
        kept = 1 - call["p"]
        return {"grad_x": result["grad_x"] * kept * (kept if factor is None else factor)}

    return Wrong(after=after)


def scaled_by_p(result: Result, call: Call) -> Result:
    if not call.get("training", True) or call["p"] == 0:
        return result
    return {"grad_x": result["grad_x"] * (1 - call["p"]) / call["p"]}


def mask_ignored(call: Call) -> Result:
    if not call.get("training", True) or call["p"] == 1:
        return compute(call)
    return {"grad_x": call["grad_y"] / (1 - call["p"])}


def passed_on(call: Call) -> Result:
    return {"grad_x": call["grad_y"].copy()}


def cases() -> Iterator[Case]:
    for shape in ((2,), (4,), (2, 3), (1, 2, 2, 2)):
        grad_y = counting(*shape)
        mask = np.arange(grad_y.size).reshape(shape) * 3 % 4 > 0
        for p in (0.5, 0.2, 0.75):
            yield Case(
                {"grad_y": grad_y, "p": p, "training": True, "mask": mask}, extras=frozenset({"training"})
            )
            yield Case({"grad_y": grad_y, "p": p, "training": False, "mask": mask})
    yield Case(
        {"grad_y": counting(2), "p": 0.0, "training": True, "mask": np.ones(2, bool)}, frozenset({"training"})
    )


RULES = (
    Rule(
        "mask_not_reused",
        says="The gradient takes the mask of the forward pass: what was dropped gets none.",
        instead="draws a mask of its own",
        why="An element that was dropped did not enter the loss. With another mask the gradient is that of "
        "another network, and training does not converge to anything.",
    ),
    Rule(
        "mask_inverted",
        says="mask is true where an element was kept.",
        instead="lets the gradient through where the mask is false",
        why="Whether a mask marks what is kept or what is dropped is a convention, and both are in use.",
        wrong=(Wrong(lambda call: {**call, "mask": ~call["mask"]}),),
    ),
    Rule(
        "gradient_not_rescaled",
        says="The gradient is scaled by 1 / (1 - p), as the survivors were.",
        instead="scales the gradient otherwise than by 1 / (1 - p)",
        why="The output was x / (1 - p) where it was kept; its derivative is 1 / (1 - p).",
        wrong=(scaled(1.0), scaled(None), Wrong(after=scaled_by_p)),
    ),
    Rule(
        "mask_ignored",
        says="Dropped elements get gradient zero.",
        instead="gives dropped elements a gradient",
        why="They did not enter the output.",
        wrong=(Wrong(compute=mask_ignored), Wrong(compute=passed_on)),
    ),
    Rule(
        "gradient_dropped_in_evaluation",
        says="In evaluation dropout is the identity, and so is its gradient.",
        instead="drops or scales gradients in evaluation as well",
        why="A gradient is taken in evaluation for saliency maps and adversarial examples.",
        wrong=(Wrong(lambda call: {**call, "training": True}),),
    ),
)

OPERATION = Operation(
    name="dropout_backward",
    arrays=("grad_y",),
    outputs=("grad_x",),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={"p": 0.5, "training": True},
    unrepeatable="mask_not_reused",
)
