"""Write the README's table of the convolution ladder, from the committed results.

    python docs/readme_ladder.py

To be run after ``benchmarks/results/ladder_1.json`` or ``ladder_numba_1.json`` was measured again; a test
says so where it was forgotten.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
LAYER = "3x3 64>64 @56"
PLACE = re.compile(r"(?<=<!-- ladder -->\n).*?(?=<!-- ladder ends -->)", re.S)


def table() -> str:
    """Return the rungs in their order, each with its share of the multiply-add peak in both languages."""
    cython, numba = (_shares(name) for name in ("ladder_1", "ladder_numba_1"))
    order = list(cython)
    for before, rung in zip([None, *numba], numba, strict=False):  # where only Numba has a rung
        if rung not in order:
            order.insert(order.index(before) + 1 if before else 0, rung)
    order.sort(key=lambda rung: rung == "winograd")  # not a step of the ladder, but made of its top
    lines = [f"| `{rung}` | {cython.get(rung, '')} | {numba.get(rung, '')} |" for rung in order]
    return "\n".join(["| `algorithm=` | Cython | Numba |", "|---|--:|--:|", *lines, ""])


def _shares(name: str) -> dict[str, str]:
    rows = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())["rows"]
    return {row["algorithm"]: f"{row['share']:.1%}" for row in rows if row["layer"] == LAYER}


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    if len(PLACE.findall(text)) != 1:
        raise SystemExit(f"{path} needs one place <!-- ladder --> ... <!-- ladder ends -->")
    path.write_text(PLACE.sub(lambda _: table(), text))


if __name__ == "__main__":
    main()
