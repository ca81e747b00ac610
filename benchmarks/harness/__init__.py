"""The library that all benchmarks share: contenders take turns, and every value is kept with where it came
from.

`figures.py` declares what is measured, `measure.py` measures it, `run.py` goes through all of it several
times, `shared.py` keeps what figures share meanwhile, `results.py` is the file that comes out, `compare.py`
sets two of these beside each other, `together.py` takes several as one.
"""

from __future__ import annotations

from .figures import Figure, figure
from .measure import Contender, Measure, Wanted, limit, loop, ours, peer

__all__ = ["Contender", "Figure", "Measure", "Wanted", "figure", "limit", "loop", "ours", "peer"]
