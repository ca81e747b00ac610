"""Contracts: a YAML file to an immutable model, and the model to a memory layout."""

from __future__ import annotations

from .layout import FieldLayout, MessageLayout, layout
from .loader import load, parse
from .model import Contracts, Field, Message, Position, Rule

__all__ = [
    "Contracts",
    "Field",
    "FieldLayout",
    "Message",
    "MessageLayout",
    "Position",
    "Rule",
    "layout",
    "load",
    "parse",
]
