"""Whether globs can meet: looks for a repository's name that some match and others do not.

A glob is a small automaton over the characters of a name. Names are walked breadth first through
all automata at once, so that what is found is the shortest name, and what is not found does not
exist. That may take long for globs that somebody chose to make it long, so it has a budget.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from imagekit.policy.glob import ANY

BUDGET = 2_000_000
"""Most steps of single automata for all searches of one policy: two seconds or so."""

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_SEPARATORS = "._-"
_OTHERS = f"x{_LOWER}"
# What can be the host of a registry has a dot or a port, or is localhost.
_HOSTS = ("*.*/**", "*:*/**", "localhost/**")
_PORT = "5"
_MOST_CHARACTERS = 255


class TooLongError(Exception):
    """The search would take longer than its budget; there may be a name or not."""


@dataclass(slots=True)
class SearchBudget:
    """How much searching may still be done."""

    left: int = BUDGET

    def spend(self, steps: int) -> None:
        """Take steps away.

        Raises:
            TooLongError: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            raise TooLongError


@dataclass(frozen=True, slots=True)
class GlobSet:
    """A glob, and what is excluded from it."""

    glob: str
    exclude: tuple[str, ...] = ()


def common_name(
    rules: Sequence[GlobSet], *, unless: Sequence[GlobSet] = (), budget: SearchBudget
) -> str | None:
    """Return the shortest name that all rules match and none of the others does, or None.

    Args:
        rules: each matches the name: its glob does, and none of what it excludes.
        unless: none of these matches the name.
        budget: how much may be spent.

    Raises:
        TooLongError: the budget is spent.
    """
    search = _Search.of(rules, unless)
    reached: dict[_State, tuple[_State, str] | None] = {search.start: None}
    layer = [search.start]
    for _ in range(_MOST_CHARACTERS):
        following: list[_State] = []
        for state in layer:
            for character, after in search.after(state, budget):
                if after in reached:
                    continue
                reached[after] = (state, character)
                if search.accepts(after):
                    return _walk(reached, after)
                following.append(after)
        layer = following
    return None


def may_meet(first: str, second: str) -> bool:
    """Tell at a glance whether two globs might match one name; no is certain, yes is not."""
    heads = sorted((first.partition("*")[0], second.partition("*")[0]), key=len)
    tails = sorted((first.rpartition("*")[2], second.rpartition("*")[2]), key=len)
    if "*" not in first and "*" not in second:
        return first == second
    return heads[1].startswith(heads[0]) and tails[1].endswith(tails[0])


_State = tuple[int, tuple[int, ...]]
# Where in a name: at its beginning, within the host, behind a dot or dash of it, behind its colon;
# at the beginning of a component of the path, behind a letter or digit of it, behind a separator.
_BEGIN, _HOST, _DOT, _COLON, _SLASH, _LETTER, _SEPARATOR = range(7)


@dataclass(frozen=True, slots=True)
class _Machine:
    """One glob; a state is the set of places in it that may have been reached, as bits.

    All places go on at once, by a few operations on whole sets (the "shift-and" way).
    """

    size: int
    ways: Mapping[str, int]
    """For a character the places that it leads on from."""
    anything: int
    """The places that every character leads on from: the first one that ``**`` takes."""
    stars: int
    """The places of ``*``, which every character but a slash stays at, and which may be passed."""
    doubles: int
    """The same for what ``**`` takes besides, and for every character."""

    @classmethod
    def of(cls, glob: str) -> "_Machine":
        """Take a glob apart: ``**`` is one character or more, ``*`` none or more but no slash."""
        pieces: list[str] = []
        for number, part in enumerate(glob.split("/")):
            pieces += ["/"] if number else []
            pieces += ["", ANY] if part == ANY else [*part]
        ways: dict[str, int] = {}
        for place, piece in enumerate(pieces):
            ways[piece] = ways.get(piece, 0) | 1 << place
        marked = [ways.pop(piece, 0) for piece in ("", "*", ANY)]
        return cls(len(pieces), ways, *marked)

    @property
    def start(self) -> int:
        return self._closed(1)

    def step(self, places: int, character: str) -> int:
        """Return the places that are reached by one more character."""
        on = places & (self.ways.get(character, 0) | self.anything)
        stays = self.doubles if character == "/" else self.doubles | self.stars
        return self._closed(on << 1 | places & stays)

    def accepts(self, places: int) -> bool:
        return bool(places >> self.size & 1)

    def _closed(self, places: int) -> int:
        """Add the places that are reached by passing over a star; two never stand together."""
        return places | (places & (self.stars | self.doubles)) << 1


@dataclass(slots=True)
class _Search:
    """All automata side by side: those that must match, hosts, and those that must not."""

    machines: list[_Machine]
    alphabet: str
    wanted: range
    hosts: range
    refused: list[tuple[int, range]]
    """Each glob that must not match, and its exclusions, one of which may."""

    @classmethod
    def of(cls, rules: Sequence[GlobSet], unless: Sequence[GlobSet]) -> "_Search":
        excluded = [glob for rule in rules for glob in rule.exclude]
        globs = [*(rule.glob for rule in rules), *_HOSTS, *excluded]
        wanted, hosts = range(len(rules)), range(len(rules), len(rules) + len(_HOSTS))
        refused = [(at, range(0)) for at in range(hosts.stop, len(globs))]
        for rule in unless:
            at = len(globs)
            globs += [rule.glob, *rule.exclude]
            refused.append((at, range(at + 1, len(globs))))
        machines = [_Machine.of(glob) for glob in globs]
        return cls(machines, _alphabet(globs), wanted, hosts, refused)

    @property
    def start(self) -> _State:
        return _BEGIN, tuple(machine.start for machine in self.machines)

    def after(self, state: _State, budget: SearchBudget) -> Iterator[tuple[str, _State]]:
        """Yield the states that one more character leads to, unless no match can follow."""
        where, places = state
        many = self.wanted.stop
        for character in self.alphabet:
            there = _grammar(where, character)
            if there is None:
                continue
            # Most characters are none that a wanted glob goes on with: the others need no step.
            wanted = self._reached(places[:many], character)
            budget.spend(many)
            if all(wanted):
                budget.spend(len(places))
                yield character, (there, wanted + self._reached(places, character)[many:])

    def _reached(self, places: tuple[int, ...], character: str) -> tuple[int, ...]:
        """Return where the first so many automata are behind the character."""
        return tuple(
            machine.step(each, character) if each else 0
            for machine, each in zip(self.machines, places, strict=False)
        )

    def accepts(self, state: _State) -> bool:
        where, places = state
        if where != _LETTER or not all(self._at(places, at) for at in self.wanted):
            return False
        if not any(self._at(places, at) for at in self.hosts):
            return False
        return not any(
            self._at(places, at) and not any(self._at(places, out) for out in excluded)
            for at, excluded in self.refused
        )

    def _at(self, places: tuple[int, ...], at: int) -> bool:
        return self.machines[at].accepts(places[at])


def _alphabet(globs: Sequence[str]) -> str:
    """Return the characters that make a difference, and one that stands for all others."""
    literal = set("".join(globs)) - {"*"} | {".", "/", _PORT}
    other = next((each for each in _OTHERS if each not in literal), "")
    return other + "".join(sorted(literal))


def _grammar(where: int, character: str) -> int | None:
    """Return where in a name one is behind the character, or None where it cannot stand there."""
    if where < _SLASH:
        return _host_grammar(where, character)
    if character == "/":
        return _SLASH if where == _LETTER else None
    if character in _LOWER:
        return _LETTER
    return _SEPARATOR if character in _SEPARATORS and where != _SLASH else None


def _host_grammar(where: int, character: str) -> int | None:
    if character == "/":
        return _SLASH if where == _HOST else None
    if character == ":":
        return None if where in {_BEGIN, _DOT} else _COLON
    if character in ".-":
        return _DOT if where == _HOST else None
    # Behind a colon there is a port, or an address of IPv6.
    return None if where == _COLON and character not in "0123456789abcdef]" else _HOST


def _walk(reached: dict[_State, tuple[_State, str] | None], state: _State) -> str:
    name = ""
    step = reached[state]
    while step is not None:
        state, character = step
        name = character + name
        step = reached[state]
    return name
