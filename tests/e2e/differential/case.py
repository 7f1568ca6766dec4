"""One row of the table: a change, and what everybody must say of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.e2e.differential.bed import TAG, Form
from tests.e2e.differential.changes import Change, nothing
from tests.e2e.differential.copies import Copy
from tests.e2e.differential.peers import PEERS, Verdict

OK = "OK"
_LETTERS = {"A": Verdict.ACCEPTS, "R": Verdict.REFUSES, "-": Verdict.NOT_APPLICABLE}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A signed image, what was changed in it, and the exact verdicts.

    ``peers`` has a letter for each of ``peers.PEERS`` in their order, cosign, skopeo, sigstore-go
    and sigstore-js: A accepts, R refuses, and - where it cannot be asked, since it does not read
    this form or never sees what was changed.
    """

    name: str
    form: Form
    ours: str
    """``OK``, or check and code of the first refusal."""
    peers: str
    change: Change = nothing
    """What the attacker does to the signed image."""
    before: Callable[[Copy], None] | None = None
    """What was unusual about the image before it was signed."""
    blindly: bool = False
    """Whether whoever signed it looked at nothing; imagekit refuses to sign some images."""
    why: str = ""
    """Why we refuse what a peer accepts."""
    harmless: str = ""
    """Why what a peer refuses is no matter of security."""
    attack: int = 0
    """The number of the attack in the project's list, where it is one of those."""
    tag: str = TAG
    """By which tag the image is asked for."""
    referrers: tuple[bool, ...] = (False,)
    """In registries without (False) and with (True) the referrers API."""
    expect: dict[str, str] = field(default_factory=dict)
    """Whom the verifiers are told to trust, where it is not the site: ``identity``, ``issuer``."""
    level: str = "all"
    """Our rule's ``platforms.verify``: which manifests of an index must be signed."""
    denied: Callable[[Copy], str] | None = None
    """Which digest our policy denies."""
    neighbour: str = ""
    """What is judged before, by the same verifier: the repository of this name with that ending."""
    command: bool = False
    """Whether the command ``imagekit verify`` is asked as well."""

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What each peer must say."""
        letters = self.peers.split()
        return {name: _LETTERS[each] for name, each in zip(PEERS, letters, strict=True)}

    @property
    def allowed(self) -> bool:
        """Whether we accept it."""
        return self.ours == OK

    @property
    def stricter(self) -> tuple[str, ...]:
        """Who accepts what we refuse."""
        if self.allowed:
            return ()
        return tuple(name for name, said in self.verdicts.items() if said is Verdict.ACCEPTS)

    @property
    def laxer(self) -> tuple[str, ...]:
        """Who refuses what we accept."""
        if not self.allowed:
            return ()
        return tuple(name for name, said in self.verdicts.items() if said is Verdict.REFUSES)


def letters(verdicts: Mapping[str, Verdict]) -> str:
    """Write verdicts as the table has them."""
    known = {verdict: letter for letter, verdict in _LETTERS.items()}
    return " ".join(known[verdict] for verdict in verdicts.values())
