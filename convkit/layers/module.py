"""What all layers share: parameters, modes, hooks, state dicts, and a row of layers.

There is no automatic differentiation: every layer says in its own ``backward`` what the chain rule makes
of the gradient that it is given, and :class:`Sequential` goes through its layers in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["Hook", "Module", "Parameter", "RemovableHook", "Sequential"]

Hook = Callable[["Module", tuple[np.ndarray], np.ndarray], "np.ndarray | None"]


class Parameter:
    """An array that training changes, and the gradient of the loss for it.

    Attributes
    ----------
    data : numpy.ndarray
        The values. An optimizer changes them in place.
    grad : numpy.ndarray or None
        The sum of the gradients since the last ``zero_grad``, of the same shape.
    """

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.grad: np.ndarray | None = None

    def add(self, grad: np.ndarray) -> None:
        """Add a gradient to the sum: a weight that serves twice is blamed twice."""
        self.grad = grad if self.grad is None else self.grad + grad

    def __repr__(self) -> str:
        return f"Parameter({self.data!r})"


class Module:
    """What all layers share: calling, hooks, modes, and the way to parameters and state.

    A layer of your own derives from it and writes ``forward(x)``, which returns y, and
    ``backward(grad_y)``, which returns the gradient for x and adds those for its parameters.
    Parameters and layers that are set as attributes are found by themselves.

    Attributes
    ----------
    training : bool
        True in training, False in evaluation; :meth:`train` and :meth:`eval` set it.
    """

    buffers: tuple[str, ...] = ()  # state that training changes but no gradient does

    def __init__(self) -> None:
        self.training = True
        self._hooks: dict[int, Hook] = {}
        self._saved: Any = None

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Return the layer's output."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        """Return the gradient for the last input, and add those for the parameters."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run :meth:`forward`, then the hooks in the order of their registration."""
        if not hasattr(x, "shape"):
            raise TypeError(f"{type(self).__name__}'s x must be an array, got {type(x).__name__}")
        y = self.forward(x)
        for hook in tuple(self._hooks.values()):
            changed = hook(self, (x,), y)
            y = y if changed is None else changed
        return y

    def register_forward_hook(self, hook: Hook) -> RemovableHook:
        """Have ``hook(layer, (x,), y)`` called after every forward pass.

        It may look at a layer's output, which is how heatmaps are made, or return another to take its
        place. The handle that is returned has ``remove()``, and works in a ``with`` statement.

        Examples
        --------
        >>> import numpy as np
        >>> from convkit.layers import ReLU
        >>> relu, seen = ReLU(), []
        >>> with relu.register_forward_hook(lambda layer, x, y: seen.append(y.sum())):
        ...     y = relu(np.array([-1.0, 2.0, 3.0]))
        >>> seen
        [np.float64(5.0)]
        """
        return RemovableHook(self._hooks, hook)

    def saved(self) -> Any:
        """Return what the forward pass kept for this backward pass."""
        if self._saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a forward pass before it")
        return self._saved

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the name and the layer of each layer that this one holds."""
        yield from ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def modules(self) -> Iterator[Module]:
        """Yield this layer and all within."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters of this layer and all within, each with its name, ``0.weight`` say."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, child in self.named_children():
            yield from child.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters of this layer and all within."""
        yield from (parameter for _, parameter in self.named_parameters())

    def zero_grad(self) -> None:
        """Forget the gradients, as must be done before each backward pass: they add up."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Module:
        """Put this layer and all within into training mode, and return it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Put this layer and all within into evaluation mode, and return it."""
        return self.train(False)

    def state_dict(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers by name, as PyTorch names them."""
        state = {prefix + name: p.data.copy() for name, p in vars(self).items() if isinstance(p, Parameter)}
        state |= {prefix + name: np.array(getattr(self, name)) for name in self._own_buffers()}
        for name, child in self.named_children():
            state |= child.state_dict(f"{prefix}{name}.")
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over parameters and buffers from a state dict: plain arrays, or tensors on the CPU.

        Values are converted to this layer's dtype.

        Raises
        ------
        KeyError
            If a name is missing, or there is one too many.
        ValueError
            If a shape differs. Nothing has been changed then.
        """
        own = self.state_dict()
        missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unexpected:
            raise KeyError(
                f"state dict: missing {missing or 'nothing'}, unexpected {unexpected or 'nothing'}"
            )
        arrays = {name: np.asarray(state[name]) for name in own}
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                raise ValueError(f"state dict: {name} must have shape {own[name].shape}, got {array.shape}")
        self._take(arrays, "")

    def _take(self, arrays: dict[str, np.ndarray], prefix: str) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                value.data[...] = arrays[prefix + name]
        for name in self._own_buffers():
            old = getattr(self, name)
            new = arrays[prefix + name]
            setattr(self, name, new.astype(old.dtype) if isinstance(old, np.ndarray) else int(new))
        for name, child in self.named_children():
            child._take(arrays, f"{prefix}{name}.")

    def _own_buffers(self) -> list[str]:
        return [name for name in self.buffers if getattr(self, name) is not None]

    def extra_repr(self) -> str:
        """Return what stands between the brackets when the layer is printed."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "".join(f"\n  {line}" for line in children) + "\n" if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"


class RemovableHook:
    """The handle of a hook: ``remove()`` takes the hook off again."""

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        self._hooks, self._hook = hooks, hook
        hooks[id(self)] = hook

    def remove(self) -> None:
        """Take the hook off; a second time does nothing."""
        self._hooks.pop(id(self), None)

    def __repr__(self) -> str:
        state = "in place" if id(self) in self._hooks else "removed"
        return f"RemovableHook({getattr(self._hook, '__qualname__', self._hook)}, {state})"

    def __enter__(self) -> RemovableHook:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Sequential(Module):
    """Layers one after another; backward goes through them from the last to the first.

    Examples
    --------
    >>> from convkit.layers import Flatten, Linear, Sequential
    >>> Sequential(Flatten(), Linear(64, 10))
    Sequential(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Linear(in_features=64, out_features=10, bias=True)
    )
    """

    def __init__(self, *layers: Module) -> None:
        super().__init__()
        for layer in layers:
            if not isinstance(layer, Module):
                raise TypeError(f"layers must be layers one by one, got {layer!r:.60}")
        self.layers = list(layers)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield each layer with its number as its name."""
        yield from ((str(number), layer) for number, layer in enumerate(self.layers))

    def __getitem__(self, index: int | slice) -> Module:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def forward(self, x: np.ndarray) -> np.ndarray:
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        """Return the gradient for the input: the chain rule, from the last layer to the first."""
        for layer in reversed(self.layers):
            grad_y = layer.backward(grad_y)
        return grad_y
