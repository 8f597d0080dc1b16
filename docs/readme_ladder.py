"""Write the README's table of the convolution ladder, from the committed results.

    python docs/readme_ladder.py

To be run after ``ladder_1.json`` or ``ladder_numba_1.json`` in ``benchmarks/results/zen5`` was measured
again; a test says so where it was forgotten.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYERS = {"3x3 64>64 @56": "3x3", "1x1 256>64 @56": "1x1"}
PLACE = re.compile(r"(?<=<!-- ladder -->\n).*?(?=<!-- ladder ends -->)", re.S)


def table() -> str:
    """Return the rungs in their order, each with its shares of the multiply-add peak in both languages."""
    cython, numba = (_shares(name) for name in ("ladder_1", "ladder_numba_1"))
    order = list(cython)
    for before, rung in zip([None, *numba], numba, strict=False):  # where only Numba has a rung
        if rung not in order:
            order.insert(order.index(before) + 1 if before else 0, rung)
    order.sort(key=lambda rung: rung == "winograd")  # not a step of the ladder, but made of its top
    columns = [(shares, layer) for shares in (cython, numba) for layer in LAYERS]
    heads = [f"{language}, {said}" for language in ("Cython", "Numba") for said in LAYERS.values()]
    lines = [
        " | ".join([f"| `{rung}`", *(shares.get(rung, {}).get(layer, "") for shares, layer in columns), ""])
        for rung in order
    ]
    head = " | ".join(["| `algorithm=`", *heads, ""])
    return "\n".join(line.rstrip() for line in [head, "|---|" + "--:|" * len(heads), *lines]) + "\n"


def _shares(name: str) -> dict[str, dict[str, str]]:
    """Return, for each rung, its share on each layer."""
    shares: dict[str, dict[str, str]] = {}
    for row in json.loads((ROOT / "benchmarks" / "results" / "zen5" / f"{name}.json").read_text())["rows"]:
        if row["layer"] in LAYERS:
            share = row["share"]
            shares.setdefault(row["algorithm"], {})[row["layer"]] = (
                f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"
            )
    return shares


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    if len(PLACE.findall(text)) != 1:
        raise SystemExit(f"{path} needs one place <!-- ladder --> ... <!-- ladder ends -->")
    path.write_text(PLACE.sub(lambda _: table(), text))


if __name__ == "__main__":
    main()
