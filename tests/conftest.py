"""Lets every test file import its neighbours: the comparator, the cases, the brute force."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
