"""Licences by SPDX identifier, also within expressions (SPDX 2.3 Annex D).

Identifiers are compared without regard to case, and the old ones of the GNU licences are read as
what SPDX calls them now: ``GPL-2.0`` is ``GPL-2.0-only``, ``GPL-2.0+`` is ``GPL-2.0-or-later``.

* Denied is what names a denied licence anywhere, also as one side of ``OR`` and in prose: nobody
  but the publisher knows which side was chosen, and whoever has chosen can say so.
* Allowed is what can be used under allowed licences only: of ``A OR B`` one side suffices, of
  ``A AND B`` both are needed, and ``A WITH EXCEPTION`` is as good as ``A``. What is no expression
  is never allowed.
"""

import re
from collections.abc import Set as AbstractSet

from msgspec import Struct

MAX_EXPRESSION = 4096
"""Longest expression that is read; what is longer is no expression but a licence's text."""
_TOKEN = re.compile(r"[A-Za-z0-9.:+-]+|[()]")
_WORD = re.compile(r"[A-Za-z0-9.:+-]+")
# Identifiers that SPDX' list deprecates since version 3.0, with a plus as the operator for later
# ones.
_GNU = re.compile(r"((?:a|l)?gpl|gfdl)-([0-9.]+)(\+?)")
_NOTHING = frozenset({"", "none", "noassertion"})
"""What SPDX writes where no licence is stated."""
_RESERVED = frozenset({"(", ")", "or", "and", "with"})
_DEEPEST = 32
"""Deepest nesting of brackets in an expression."""


def normal(identifier: str) -> str:
    """Return an identifier as it is compared."""
    # SPDX 2.3 Annex D.2. The full stop is that of a sentence which names it.
    folded = identifier.casefold().rstrip(".")
    old = _GNU.fullmatch(folded)
    if old is None:
        return folded
    return f"{old[1]}-{old[2]}-{'or-later' if old[3] else 'only'}"


def states_nothing(text: str) -> bool:
    """Return whether the text says that no licence is stated."""
    return text.strip().casefold() in _NOTHING


def named_in(text: str, denied: AbstractSet[str]) -> str:
    """Return the first denied licence that the text names, or an empty text.

    Args:
        text: an expression, an identifier, a name or a whole licence.
        denied: identifiers as ``normal`` writes them.
    """
    for match in _WORD.finditer(text):
        word = normal(match[0])
        if word in denied:
            return word
    return ""


def covered(text: str, allowed: AbstractSet[str]) -> bool:
    """Return whether what the text states can be used under allowed licences only.

    Args:
        text: what should be an expression.
        allowed: identifiers as ``normal`` writes them.
    """
    if len(text) > MAX_EXPRESSION or _TOKEN.sub("", text).strip():
        return False
    expression = _Expression(_TOKEN.findall(text)[::-1], allowed)
    try:
        return expression.either() and not expression.left
    except _NoExpressionError:
        return False


class _NoExpressionError(Exception):
    """The text is no expression."""


class _Expression(Struct):
    """What is left of an expression, the next token last."""

    left: list[str]
    allowed: AbstractSet[str]
    depth: int = 0

    def either(self) -> bool:
        """Read ``A OR B ...``; every side is read, so that all of it is an expression."""
        # SPDX 2.3 Annex D.4: WITH binds closer than AND, and AND closer than OR.
        sides = [self._both()]
        while self._takes("or"):
            sides.append(self._both())
        return any(sides)

    def _both(self) -> bool:
        sides = [self._single()]
        while self._takes("and"):
            sides.append(self._single())
        return all(sides)

    def _single(self) -> bool:
        if self._takes("("):
            self.depth += 1
            # Each level is a few calls deep on the interpreter's stack, which brackets could
            # exhaust.
            if self.depth > _DEEPEST:
                raise _NoExpressionError
            inside = self.either()
            if not self._takes(")"):
                raise _NoExpressionError
            self.depth -= 1
            return inside
        good = normal(self._name()) in self.allowed
        if self._takes("with"):
            self._name()
        return good

    def _name(self) -> str:
        if not self.left or self.left[-1].casefold() in _RESERVED:
            raise _NoExpressionError
        return self.left.pop()

    def _takes(self, word: str) -> bool:
        # Operators in any case, too. Annex D.2 wants capitals, and documents have both.
        is_next = bool(self.left) and self.left[-1].casefold() == word
        if is_next:
            self.left.pop()
        return is_next
