"""From contracts to modules: rendering, compiling, loading, and the setuptools hook.

Nothing is imported here: the hook runs in every setuptools build of its environment and has to stay cheap.
"""

from __future__ import annotations
