"""Every rule of the semantics is named by a test that checks it.

The rules are what all kernels obey; the functions of convkit follow torch.nn.functional, and where
other systems differ, or PyTorch does, a rule says so. A test belongs to a rule by its name
(``test_rule_13_...``, ``test_rules_15_and_16_...``) or its docstring.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

RULES = {
    1: "convolution sizes: floor((n + p0 + p1 - e) / s) + 1",
    2: "pooling sizes in ceil mode: the last window starts inside",
    3: "pooling pads by half the window at most",
    4: "same padding for any stride: SAME_UPPER",
    5: "padding as an int, ints, pairs, same or valid",
    6: "transposed sizes, and output_padding",
    7: "dilation 1 means none",
    8: "pad takes the last axis first, and crops where negative",
    9: "reflect does not repeat the edge, and keeps bouncing",
    10: "replicate, circular, constant, symmetric",
    11: "the gradient of padding accumulates",
    12: "max pooling pads with -infinity",
    13: "the divisors of average pooling",
    14: "max pooling: NaN wins, then the first of equals",
    15: "the batch's variance is biased, the running one unbiased",
    16: "momentum weighs the new batch; None averages",
    17: "eps is inside the root; one value has no variance",
    18: "training never reads the running statistics",
    19: "the gradients of normalisation",
    20: "variance without cancellation; zero where constant",
    21: "batch norm of (N, C) to (N, C, D, H, W)",
    22: "dropout keeps with 1 - p and divides by it",
    23: "the mask is a function of seed and place",
    24: "dropout of elements, maps and rows",
    25: "correlation; flip convolves",
    26: "weight layouts and groups",
    27: "gradients are adjoints; col2im sums",
    28: "an empty batch is fine, any other empty axis is not",
    29: "sizes beyond 32 and 64 bits",
    30: "any layout, out=, and inputs never written",
    31: "float32 and float64, never mixed",
    32: "the same bits at any number of threads",
    33: "NaN and infinity travel as the arithmetic says",
    34: "inputs without the batch axis",
    35: "backward functions check shapes and indices themselves",
}


@cache
def rules_named():
    """Return the rules that tests in this folder name, each with those tests."""
    named = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                title = re.match(r"test_rules?_((?:\d+_(?:and_)?)+)", node.name)
                text = title[1] if title else ""
                text += " ".join(re.findall(r"rules? [\d, and]+", ast.get_docstring(node) or ""))
                for rule in re.findall(r"\d+", text):
                    named.setdefault(int(rule), []).append(f"{path.name}::{node.name}")
    return named


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_named_by_a_test(rule):
    assert rules_named().get(rule), RULES[rule]


def test_no_test_names_a_rule_that_there_is_not():
    assert list(RULES) == list(range(1, 36))
    assert set(rules_named()) <= set(RULES)
