"""Contracts: a YAML file to an immutable model, and the model to a memory layout; two of them compared."""

from __future__ import annotations

from .compare import Comparison, compare
from .layout import FieldLayout, MessageLayout, layout
from .loader import load, parse
from .model import Contracts, Field, Message, Position, Rule

__all__ = [
    "Comparison",
    "Contracts",
    "Field",
    "FieldLayout",
    "Message",
    "MessageLayout",
    "Position",
    "Rule",
    "compare",
    "layout",
    "load",
    "parse",
]
