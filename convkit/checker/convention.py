"""How a learner's function wants to be called: which parameter takes which of our arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from .model import Case, Operation, Result

__all__ = ["LAYOUTS", "Convention"]

ALIASES = {
    "x": ("image", "images", "input", "inputs", "img"),
    "w": ("weight", "weights", "kernel", "kernels", "filter", "filters"),
    "b": ("bias",),
    "weight": ("gamma",),
    "bias": ("beta",),
    "grad_y": ("dy", "dout", "grad_output", "grad_out"),
    "kernel_size": ("size", "pool_size", "window", "k"),
    "stride": ("strides", "s"),
    "padding": ("pad",),
    "dilation": ("dilations", "d"),
    "training": ("train", "is_training"),
    "p": ("rate", "drop_prob"),
}
"""Other names under which an argument is recognised without being told."""

LAYOUTS = {"NCHW": "", "CHW": "N", "HW": "NCO", "NC": ""}
"""What images look like to a function, and which of the leading axes it does therefore not want."""


class Convention:
    """Translates a case into a call of one function, or says why it cannot.

    Arguments go to parameters of the same name, of the name that `names` gives, or of an alias;
    arrays that find none go to the first parameters that are left, in order.

    Attributes
    ----------
    parameters : dict
        Our argument -> the function's parameter.
    """

    def __init__(
        self, function: Callable[..., Any], operation: Operation, names: Mapping[str, str], layout: str
    ) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}; got {layout!r}")
        if unknown := [name for name in names if name not in operation.arguments]:
            raise ValueError(
                f"names must map arguments of {operation.name} ({', '.join(operation.arguments)}) "
                f"to parameters of your function; got {unknown[0]!r}"
            )
        self.operation, self.layout = operation, layout
        self.positional: tuple[str, ...] = ()
        self.parameters: dict[str, str] = {}
        self.takes_anything = False
        self._insists: dict[str, str] = {}
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # compiled functions may have none: take them at our names
            self.positional, self.takes_anything = operation.arrays, True
            self.parameters = dict(names)
        else:
            self._read(signature, names)

    def _read(self, signature: inspect.Signature, names: Mapping[str, str]) -> None:
        every = signature.parameters
        self.takes_anything = any(p.kind is p.VAR_KEYWORD for p in every.values())
        named = {n: p for n, p in every.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        for ours, theirs in names.items():
            if theirs not in named and not self.takes_anything:
                raise ValueError(
                    f"names says that {ours} is called {theirs!r}, but the function takes {_listed(named)}"
                )
            self.parameters[ours] = theirs
        for ours in self.operation.arguments:
            for theirs in (ours, *ALIASES.get(ours, ())):
                if ours not in self.parameters and theirs in named and theirs not in self.parameters.values():
                    self.parameters[ours] = theirs
        left = [n for n, p in named.items() if n not in self.parameters.values() and p.kind != p.KEYWORD_ONLY]
        lost = [ours for ours in self.operation.arrays if ours not in self.parameters]
        for ours, theirs in zip(lost, left, strict=False):
            self.parameters[ours] = theirs
        if any(p.kind is p.VAR_POSITIONAL for p in every.values()) and len(lost) == len(
            self.operation.arrays
        ):
            self.positional = self.operation.arrays
        elif len(lost) > len(left) and not self.takes_anything:
            raise ValueError(
                f"{self.operation.name} is called with {', '.join(self.operation.arrays)}, "
                f"and no parameter of the function takes {lost[len(left)]}: it takes {_listed(named)}"
            )
        taken = {theirs: ours for ours, theirs in self.parameters.items()}
        for name, p in named.items():
            if p.default is p.empty:
                if name not in taken:
                    raise ValueError(
                        f"the function insists on {name!r}, and no argument of {self.operation.name} "
                        f"({', '.join(self.operation.arguments)}) goes there: "
                        f"{_remedy(name)}"
                    )
                self._insists[taken[name]] = name
        self._positional_only = [
            taken[n] for n, p in named.items() if p.kind is p.POSITIONAL_ONLY and n in taken
        ]

        self._order = [n for n, p in named.items() if p.kind is not p.KEYWORD_ONLY]

    _positional_only: list[str] = []  # noqa: RUF012 - replaced, never changed
    _order: list[str] = []  # noqa: RUF012 - replaced, never changed

    def takes(self, argument: str) -> bool:
        """Tell whether the function has a place for one of our arguments."""
        return argument in self.parameters or argument in self.positional or self.takes_anything

    def lacks(self, case: Case) -> str:
        """Return why the function cannot be asked to do a case, or an empty string."""
        for name in case.call:
            if name not in case.extras and not self.takes(name):
                return f"your function has no {name}"
        if self.layout == "NC" and any(a.ndim > 2 for a in case.call.values() if isinstance(a, np.ndarray)):
            return "your function takes NC: arrays without pixels"
        axes = self._stripped(case)
        return next((f"your function takes {self.layout}: {reason}" for reason in axes), "")

    def _stripped(self, case: Case) -> Iterator[str]:
        """Yield which axes the layout does not have, but the case needs."""
        words = {"N": "one image", "C": "one channel", "O": "one filter"}
        for name, axes in self.operation.axes.items():
            array = case.call.get(name)
            for axis, letter in enumerate(axes):
                if (
                    letter in LAYOUTS[self.layout]
                    and isinstance(array, np.ndarray)
                    and array.shape[axis] != 1
                ):
                    yield words[letter]

    def values(self, case: Case) -> dict[str, Any]:
        """Return fresh arguments for a call by our names, with those that the function insists on."""
        values: dict[str, Any] = {}
        for name in self._insists:
            if name not in case.call and name in self.operation.defaults:
                default = self.operation.defaults[name]
                values[name] = default(case.call) if callable(default) else default
        values.update({name: value for name, value in case.call.items() if self.takes(name)})
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                values[name] = self._strip(name, value).copy()
        return values

    def arguments(self, case: Case) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        """Return fresh arguments for a call: positional ones, named ones, and the arrays by our names."""
        values = self.values(case)
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        first = (*self.positional, *self._positional_only)
        args = [values[name] for name in first]
        named = {self.parameters.get(n, n): value for n, value in values.items() if n not in first}
        return args, named, arrays

    def written(self, case: Case) -> tuple[dict[str, Any], int]:
        """Return the arguments of a call as it is written, and how many of them go without their names."""
        values = self.values(case)
        first = (*self.positional, *self._positional_only)
        at = {ours: self._order.index(n) for ours, n in self.parameters.items() if n in self._order}
        rest = sorted((n for n in values if n not in first), key=lambda n: at.get(n, len(self._order)))
        names, bare = [*first, *rest], len(first)
        for name in rest:
            if not isinstance(values[name], np.ndarray) or at.get(name) != bare:
                break
            bare += 1
        return {name: values[name] for name in names}, bare

    def shown(self, name: str, array: np.ndarray) -> np.ndarray:
        """Return an output without the axes that the layout does not have."""
        axes = [axis for axis in self._dropped(name) if axis < array.ndim and array.shape[axis] == 1]
        return array.squeeze(tuple(axes))

    def _dropped(self, name: str) -> tuple[int, ...]:
        letters = self.operation.axes.get(name, "")
        return tuple(i for i, letter in enumerate(letters) if letter in LAYOUTS[self.layout])

    def _strip(self, name: str, array: np.ndarray) -> np.ndarray:
        return array.squeeze(self._dropped(name))

    def restored(self, result: Result) -> Result:
        """Return outputs with the axes that the layout does not have."""
        return {name: self._unstrip(name, array) for name, array in result.items()}

    def _unstrip(self, name: str, array: np.ndarray) -> np.ndarray:
        for axis in self._dropped(name):
            if axis <= array.ndim:
                array = np.expand_dims(array, axis)
        return array


def _remedy(parameter: str) -> str:
    if parameter == "self":
        return "it is a method, so check one of an object, or a function that calls it"
    return (
        f"say which in names, such as names={{'stride': {parameter!r}}} "
        f"(--names stride={parameter} on the command line), or wrap the function"
    )


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "nothing"
