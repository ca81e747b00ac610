"""Makes pages of a results file: tables in Markdown and charts as SVG. `python benchmarks/report` runs it.

`tables.py` turns figures into tables and verdicts, `charts.py` draws them, `svg.py` lets drawings follow
light and dark, and `pages.py` puts all of it into docs/benchmarks.md and the README.
"""
