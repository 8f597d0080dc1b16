"""Layers: their gradients by finite differences, hooks, modes, state dicts, and PyTorch's word for it."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from comparator import assert_bits, assert_close

import convkit
from convkit import layers
from convkit.layers import (
    SGD,
    Adam,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Module,
    Parameter,
    ReLU,
    RMSprop,
    Sequential,
    cross_entropy,
    mse_loss,
    weighted_average,
)

EPS = np.finfo(np.float64).eps


def network(L, **kinds):
    """Return one network, of `L`'s layers: ours or PyTorch's."""
    return L.Sequential(
        L.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", bias=False, **kinds),
        L.BatchNorm2d(4, **kinds),
        L.ReLU(),
        L.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), groups=2, **kinds),
        L.Sequential(L.MaxPool2d(2, stride=1), L.AvgPool2d(2, padding=1)),
        L.Dropout(0.0),
        L.Flatten(),
        L.Linear(24, 5, **kinds),
        L.BatchNorm1d(5, momentum=None, affine=False, **kinds),
        L.Linear(5, 3, bias=False, **kinds),
    )


ours = SimpleNamespace(
    AvgPool2d=AvgPool2d,
    BatchNorm1d=BatchNorm1d,
    BatchNorm2d=BatchNorm2d,
    Conv2d=Conv2d,
    Dropout=Dropout,
    Flatten=Flatten,
    Linear=Linear,
    MaxPool2d=MaxPool2d,
    ReLU=ReLU,
    Sequential=Sequential,
)


def problem(seed=0, n=6):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 2, 7, 7)), rng.integers(3, size=n)


def slope(function, array, direction, step=1e-6):
    """Return the derivative of `function()` as `array` moves along `direction`, by central differences."""
    kept = array.copy()
    values = []
    for sign in 1, -1:
        array[...] = kept + sign * step * direction
        values.append(function())
    array[...] = kept
    return (values[0] - values[1]) / (2 * step)


# --- gradients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_gradients_by_finite_differences(training):
    x, labels = problem()
    net = network(ours, dtype=np.float64).train(training)
    net(x)  # so that evaluation has running statistics of its own
    _, grad = cross_entropy(net(x), labels)
    net.zero_grad()
    grad_x = net.backward(grad)
    rng = np.random.default_rng(1)
    pairs = [(x, grad_x), *((p.data, p.grad) for p in net.parameters())]
    assert len(pairs) == 1 + 8
    for array, gradient in pairs:
        direction = rng.standard_normal(array.shape)
        measured = slope(lambda: cross_entropy(net(x), labels)[0], array, direction)
        # the difference quotient errs by step**2 and by eps / step
        assert abs((gradient * direction).sum() - measured) < 1e-7 * max(1.0, abs(measured))


def test_dropout_backward_uses_the_mask_of_its_forward_pass():
    x = np.ones((50, 40), np.float32)
    layer = Dropout(0.3, rng=0)
    y = layer(x)
    assert_bits(layer.backward(np.ones_like(y)), y)
    assert (layer(x) != y).any()  # and the next pass draws another
    layer.eval()
    assert_bits(layer(x), x)
    assert_bits(layer.backward(x), x)


def test_dropout_in_evaluation_draws_nothing():
    x = np.ones((4, 4), np.float32)
    undisturbed, evaluated = Dropout(0.5, rng=0), Dropout(0.5, rng=0)
    evaluated.eval()(x)
    assert_bits(evaluated.train()(x), undisturbed(x))


def test_gradients_add_up_until_they_are_zeroed():
    layer = Linear(3, 2, rng=0)
    x = np.ones((1, 3), np.float32)
    for _ in range(2):
        layer(x)
        layer.backward(np.ones((1, 2), np.float32))
    assert_bits(layer.bias.grad, np.full(2, 2, np.float32))
    layer.zero_grad()
    assert layer.bias.grad is None


def test_mse_loss_gradient():
    rng = np.random.default_rng(0)
    y, target, direction = rng.standard_normal((3, 4, 5))
    measured = slope(lambda: mse_loss(y, target)[0], y, direction)
    assert abs((mse_loss(y, target)[1] * direction).sum() - measured) < 1e-8


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_mse_loss_of_whole_numbers_is_that_of_floats(dtype):
    y, target = np.array([1, 0, 1], dtype), np.array([0, 1, 1], dtype)
    loss, grad = mse_loss(y, target)
    expected, expected_grad = mse_loss(y.astype(np.float64), target.astype(np.float64))
    assert loss == expected
    assert_bits(grad, expected_grad)


def test_flatten_of_no_images():
    layer = Flatten()
    y = layer(np.zeros((0, 2, 3)))
    assert_bits(y, np.zeros((0, 6)))
    assert_bits(layer.backward(y), np.zeros((0, 2, 3)))


# --- hooks and modes ---------------------------------------------------------------------------


def test_hooks_see_and_may_replace_outputs():
    relu, calls = ReLU(), []
    first = relu.register_forward_hook(lambda layer, x, y: calls.append((layer, x[0].sum(), y.sum())))
    second = relu.register_forward_hook(lambda layer, x, y: y + 1)
    x = np.array([[-1.0, 2.0]])
    assert_bits(Sequential(relu)(x), np.array([[1.0, 3.0]]))
    assert calls == [(relu, 1.0, 2.0)]
    first.remove()
    first.remove()
    second.remove()
    assert_bits(relu(x), np.array([[0.0, 2.0]]))
    assert len(calls) == 1


def test_modes_reach_every_layer():
    net = network(ours)
    assert not any(m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())
    assert sum(1 for _ in net.modules()) == 13


def test_running_statistics_are_those_of_the_function():
    x, _ = problem()
    layer = BatchNorm2d(2, dtype=np.float64)
    mean, var = np.zeros(2), np.ones(2)
    for scale in 1, 3:
        y = layer(scale * x)
        assert_bits(y, convkit.batch_norm(scale * x, mean, var, np.ones(2), np.zeros(2), True))
    assert_bits(layer.running_mean, mean)
    assert_bits(layer.running_var, var)
    assert layer.num_batches_tracked == 2
    layer.eval()(x)
    assert layer.num_batches_tracked == 2
    assert_bits(layer.running_mean, mean)


# --- state -------------------------------------------------------------------------------------


def test_state_dict_there_and_back():
    x, _ = problem()
    one, two = (network(ours, dtype=np.float64) for _ in range(2))
    one(x)
    state = one.state_dict()
    assert state["1.num_batches_tracked"] == 1
    two.load_state_dict(state)
    assert_bits(two.eval()(x), one.eval()(x))
    state["0.weight"][...] = 0  # a copy
    assert one[0].weight.data.any()


def test_state_dict_errors_change_nothing():
    net = Sequential(Linear(2, 3))
    before = net.state_dict()
    with pytest.raises(KeyError, match=r"missing \['0.bias'\], unexpected \['1.bias'\]"):
        net.load_state_dict({"0.weight": np.zeros((3, 2)), "1.bias": np.zeros(3)})
    with pytest.raises(ValueError, match=r"0.bias must have shape \(3,\), got \(4,\)"):
        net.load_state_dict({"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(4)})
    for name, value in net.state_dict().items():
        assert_bits(value, before[name])


def test_layers_of_ones_own_are_found():
    class Scale(Module):
        def __init__(self):
            super().__init__()
            self.factor = Parameter(np.array([2.0]))
            self.inner = ReLU()

        def forward(self, x):
            return self.inner(self.factor.data * x)

    net = Sequential(Scale())
    assert [name for name, _ in net.named_parameters()] == ["0.factor"]
    assert_bits(net(np.array([[1.5, -1.0]])), np.array([[3.0, 0.0]]))
    with pytest.raises(NotImplementedError, match="Scale has no backward"):
        net.backward(np.ones((1, 2)))


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Conv2d(3, 8, 3, groups=2), r"groups must divide .*: 2, 3, 8"),
        (lambda: Conv2d(3, 8, 0), "kernel_size"),
        (lambda: Conv2d(0, 1, 3), "in_channels must be at least 1, got 0"),
        (lambda: Conv2d(1, 0, 3), "out_channels must be at least 1, got 0"),
        (lambda: Conv2d(1, 1, 3, groups=0), "groups must be at least 1, got 0"),
        (lambda: Linear(0, 1), "in_features must be at least 1, got 0"),
        (lambda: Linear(1, 0), "out_features must be at least 1, got 0"),
        (lambda: BatchNorm2d(0), "num_features must be at least 1, got 0"),
        (lambda: Flatten(2), "Flatten has start_dim=1 and end_dim=-1 only, got 2 and -1"),
        (lambda: ReLU(True), "inplace must be False, got True"),
        (lambda: Dropout(0.5, True), "inplace must be False, got True"),
        (lambda: Dropout(1.5), r"p must be in \[0, 1\], got 1.5"),
        (lambda: Linear(2, 2)(np.zeros(2)), r"two axes, got shape \(2,\)"),
        (
            lambda: BatchNorm1d(2)(np.zeros((2, 2, 2, 2))),
            r"BatchNorm1d's x must have 2 or 3 axes.*\(2, 2, 2, 2\)",
        ),
        (lambda: BatchNorm2d(2)(np.zeros((2, 2))), r"BatchNorm2d's x must have 4 axes.*\(2, 2\)"),
        (lambda: BatchNorm2d(3)(np.zeros((2, 5, 2, 2))), r"num_features = 3 .* shape \(2, 5, 2, 2\)"),
        (
            lambda: cross_entropy(np.zeros((2, 3)), np.array([0, 3])),
            r"labels must be in \[0, 3\), got 0 to 3",
        ),
        (lambda: cross_entropy(np.zeros((2, 3)), np.array([0.0, 1.0])), "N ints"),
        (lambda: mse_loss(np.zeros(2), np.zeros((2, 1))), r"\(2,\) and \(2, 1\)"),
        (lambda: mse_loss(np.zeros((0, 2)), np.zeros((0, 2))), r"y must not be empty.*\(0, 2\)"),
        (lambda: cross_entropy(np.zeros((0, 2)), np.zeros(0, int)), r"logits must not be empty.*\(0, 2\)"),
        (lambda: SGD([], 0.1), "parameters must not be empty"),
        (lambda: SGD(Linear(1, 1).parameters(), -1), "lr must be at least 0, got -1"),
        (lambda: SGD(Linear(1, 1).parameters(), 1, momentum=1), r"momentum must be in \[0, 1\), got 1"),
        (lambda: Adam(Linear(1, 1).parameters(), betas=(0.9, 2)), r"betas must be in \[0, 1\), got 2"),
        (lambda: Adam(Linear(1, 1).parameters(), betas=(0.9,)), r"betas must be two numbers, got \(0.9,\)"),
        (lambda: Adam(Linear(1, 1).parameters(), betas=0.9), "betas must be two numbers, got 0.9"),
        (lambda: Adam(Linear(1, 1).parameters(), eps=-1), "eps must be at least 0, got -1"),
        (lambda: RMSprop(Linear(1, 1).parameters(), eps=-1), "eps must be at least 0, got -1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Conv2d(1.0, 1, 3), "in_channels must be an int, got 1.0"),
        (lambda: Linear(1.5, 1), "in_features must be an int, got 1.5"),
        (lambda: Conv2d(1, 1, 3, dtype=int), "dtype must be float32 or float64, got <class 'int'>"),
        (lambda: Linear(1, 1, dtype=int), "dtype must be float32 or float64, got <class 'int'>"),
        (lambda: BatchNorm2d(1, dtype="int8"), "dtype must be float32 or float64, got 'int8'"),
        (lambda: Dropout("a"), "p must be a number, got 'a'"),
        (lambda: Sequential([ReLU()]), r"one by one, got \[ReLU\(\)\]"),
        (lambda: Linear(2, 1)([[1, 2]]), "Linear's x must be an array, got list"),
        (lambda: SGD([np.zeros(1)], 0.1), r"net.parameters\(\) yields, got ndarray"),
        (lambda: SGD(Linear(1, 1), 0.1), r"net.parameters\(\) yields, got Linear"),
        (lambda: SGD(Sequential(ReLU()), 0.1), r"net.parameters\(\) yields, got Sequential"),
        (lambda: SGD(Linear(1, 1).parameters(), "a"), "lr must be a number, got 'a'"),
    ],
)
def test_bad_types(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_slices_of_a_network_are_networks():
    net = Sequential(Flatten(), ReLU())
    assert repr(net[:1]) == repr(Sequential(Flatten()))
    assert net[1:][0] is net[-1]


def test_backward_before_forward():
    with pytest.raises(RuntimeError, match=r"ReLU.backward needs a forward pass"):
        ReLU().backward(np.zeros(1))


# --- optimizers --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [SGD, lambda p, lr: SGD(p, lr, 0.9), RMSprop, Adam])
def test_optimizers_find_the_minimum_of_a_bowl(make):
    w = Parameter(np.array([3.0, -2.0]))
    optimizer = make([w], 0.01)
    for _ in range(2000):
        w.grad = 2 * w.data * np.array([1.0, 3.0])
        optimizer.step()
    assert np.abs(w.data).max() < 0.02


def test_momentum_is_batch_norms_average_seen_from_the_other_side():
    x = np.random.default_rng(0).standard_normal((5, 8, 1))
    running_mean, running_var, average = np.zeros(1), np.ones(1), np.zeros(1)
    for batch in x:
        convkit.batch_norm(batch, running_mean, running_var, training=True, momentum=0.1)
        weighted_average(average, batch.mean(axis=0), 1 - 0.9)
    assert_close(average, running_mean, 20 * EPS)


# --- PyTorch -----------------------------------------------------------------------------------


def pair():
    """Return PyTorch's network, and ours with its weights."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = network(torch.nn, dtype=torch.float64)
    mine = network(ours, dtype=np.float64)
    mine.load_state_dict(theirs.state_dict())
    return torch, theirs, mine


def test_prints_as_pytorch_does():
    _, theirs, mine = pair()
    assert repr(mine) == repr(theirs)
    assert repr(Dropout(1)) == "Dropout(p=1, inplace=False)"


@pytest.mark.parametrize("name", [*vars(ours), "SGD", "RMSprop", "Adam"])
def test_arguments_stand_where_pytorch_has_them(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn if name in vars(ours) else torch.optim, name)
    places = []
    for kind in getattr(layers, name), theirs:
        parameters = inspect.signature(kind).parameters.values()
        places.append([p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD])
    skip = places[0][:1] == ["parameters"]  # params
    assert places[0][skip:] == places[1][skip : len(places[0])]


@pytest.mark.parametrize("kind", ["Conv2d", "AvgPool2d", "MaxPool2d"])
def test_numpy_integers_print_as_ints(kind):
    layer, channels = getattr(layers, kind), (1, 1) if kind == "Conv2d" else ()
    three, one = np.int64(3), np.int64(1)
    for convert in (lambda n: n), lambda n: (n, n):
        expected = layer(*channels, convert(3), padding=convert(1))
        assert repr(layer(*channels, convert(three), padding=convert(one))) == repr(expected)


@pytest.mark.parametrize("name", ["SGD", "momentum", "RMSprop", "Adam"])
def test_trains_as_pytorch_does(name):
    torch, theirs, mine = pair()
    makers = {
        "SGD": (lambda p: torch.optim.SGD(p, 0.1), lambda p: SGD(p, 0.1)),
        "momentum": (lambda p: torch.optim.SGD(p, 0.1, 0.9), lambda p: SGD(p, 0.1, 0.9)),
        "RMSprop": (lambda p: torch.optim.RMSprop(p, 0.01), lambda p: RMSprop(p, 0.01)),
        "Adam": (lambda p: torch.optim.Adam(p, 0.01), lambda p: Adam(p, 0.01)),
    }
    their_optimizer, my_optimizer = (
        make(net.parameters()) for make, net in zip(makers[name], (theirs, mine), strict=True)
    )
    for seed in range(5):
        x, labels = problem(seed)
        their_loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels))
        my_loss, grad = cross_entropy(mine(x), labels)
        assert (
            abs(my_loss - their_loss.item()) < 1e-9
        )  # roundings grow from step to step; a wrong rule is off by far more
        their_optimizer.zero_grad()
        their_loss.backward()
        their_optimizer.step()
        my_optimizer.zero_grad()
        mine.backward(grad)
        my_optimizer.step()
    state = mine.state_dict()
    assert list(state) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert_close(np.asarray(state[key], np.float64), value.numpy().astype(np.float64), 1e-7, key)


def test_optimizers_and_hooks_print_what_they_are():
    net = layers.Linear(2, 3)
    texts = [repr(of(net.parameters())) for of in (lambda p: layers.SGD(p, 0.1), layers.RMSprop, layers.Adam)]
    assert texts == [
        "SGD(lr=0.1, momentum=0.0), numbers: 9, steps: 0",
        "RMSprop(lr=0.01, alpha=0.99, eps=1e-08), numbers: 9, steps: 0",
        "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08), numbers: 9, steps: 0",
    ]

    def look(layer, x, y):
        return None

    handle = net.register_forward_hook(look)
    assert repr(handle).endswith("look, in place)")
    handle.remove()
    assert repr(handle).endswith("look, removed)")
