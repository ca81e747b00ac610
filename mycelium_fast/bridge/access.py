"""What each peer may do: the access rules of the configuration, applied to those who connect.

    identity, listener, service --first rule that fits--> Grant: types to publish and to receive, limits

Who a peer is, `identity.py` finds out; the router holds a connection to its grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from .config import AccessRule
from .identity import Identity

__all__ = ["EVERYTHING", "NOTHING", "Access", "Grant", "Names", "type_ids_of"]

#: Name and topic of a type, by its id.
Names = Mapping[int, tuple[str, str]]


@dataclass(frozen=True)
class Grant:
    """What a connection may do.

    Attributes:
        rule: index of the rule that says so, -1 where there are no rules.
        publish, receive: type ids; None for every type.
        max_connections: of one identity under this rule; None for no such limit.
        max_frames_per_s, max_bytes_per_s: that it may send on average; 0 for no such limit.
    """

    rule: int
    publish: frozenset[int] | None
    receive: frozenset[int] | None
    max_connections: int | None = None
    max_frames_per_s: float = 0.0
    max_bytes_per_s: float = 0.0

    def may_receive(self, type_id: int) -> bool:
        """Whether it may receive a type."""
        return self.receive is None or type_id in self.receive


EVERYTHING: Final = Grant(-1, None, None)
#: Of a connection that has to say first which service it is.
NOTHING: Final = Grant(-1, frozenset(), frozenset())


class Access:
    """The rules of one bridge.

    Args:
        rules: in order; none at all allows everything.
        names: of the types that there are.
    """

    def __init__(self, rules: Sequence[AccessRule], names: Names) -> None:
        self._rules = tuple(rules)
        self._grants = tuple(
            Grant(
                place,
                type_ids_of(rule.publish, names),
                type_ids_of(rule.receive, names),
                rule.max_connections,
                rule.max_frames_per_s or 0.0,
                rule.max_bytes_per_s or 0.0,
            )
            for place, rule in enumerate(self._rules)
        )

    def grant(self, identity: Identity, listener: str, service: str = "") -> Grant | None:
        """What somebody may do; None for nothing: no rule fits."""
        if not self._rules:
            return EVERYTHING
        facts = identity.facts(service)
        for rule, grant in zip(self._rules, self._grants, strict=True):
            if rule.listener and not _fits(rule.listener, (listener,)):
                continue
            if not rule.identity or _fits(rule.identity, facts):
                return grant
        return None

    def depends_on_service(self, listener: str) -> bool:
        """Whether a name of a service could still make a rule fit."""
        return any(
            (not rule.listener or _fits(rule.listener, (listener,)))
            and any(pattern.startswith("service:") for pattern in rule.identity)
            for rule in self._rules
        )


def type_ids_of(patterns: Iterable[str], names: Names) -> frozenset[int] | None:
    """The types that patterns speak of; None for every type, also those that the contracts do not have.

    Args:
        patterns: message names, "topic:NAME", both with `*` and `?`, or type ids.
    """
    found: set[int] = set()
    for pattern in patterns:
        if pattern == "*":
            return None
        if pattern.isascii() and pattern.isdigit():
            found.add(int(pattern))
            continue
        by_topic = pattern.startswith("topic:")
        wanted = pattern.removeprefix("topic:")
        found.update(
            type_id
            for type_id, (name, topic) in names.items()
            if fnmatchcase(topic if by_topic else name, wanted)
        )
    return frozenset(found)


def _fits(patterns: Iterable[str], facts: Iterable[str]) -> bool:
    return any(fnmatchcase(fact, pattern) for pattern in patterns for fact in facts)
