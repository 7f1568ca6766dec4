"""Remarks on regular expressions of identities: what they match besides what was meant.

An expression has to match the whole text, so a forgotten anchor has no effect. What has one is a
dot that stands for any character, and a star right behind a name that ought to have ended.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from imagekit.documents.report import shown
from imagekit.policy import patterns
from imagekit.signatures.authority import Pattern

_UNRELATED = (
    "x",
    "evil@evil.example",
    "https://evil.example/evil/evil/.github/workflows/release.yml@refs/heads/main",
)
# One character of an expression: escaped, a set, or as it stands.
_PIECE = re.compile(r"\\.|\[(?:\\.|[^\]\\])[^\]]*\]|.", re.DOTALL)
_REPEATED = ("*", "+", "?", "{")
_SCHEME = re.compile(r"https?://")
_LITERAL = re.compile(r"(?:[A-Za-z0-9 /_%:@#=,~-]|\\[^A-Za-z0-9])+")


class PatternRemark(Struct, frozen=True, kw_only=True):
    """Something about a pattern: code, message, and what to write instead."""

    code: str
    message: str
    hint: str


def of_issuer(text: str) -> tuple[PatternRemark, ...]:
    """Return the remarks on an issuer's expression."""
    remarks = [*_loose_dots(text)]
    bare = text.removeprefix("^")
    if bare[:1].isalnum() and not bare.startswith("http"):
        remarks.append(
            _partial(text, "an issuer is a URL", "write all of it: https://ci\\.example\\.org")
        )
    remarks += _open_end(text, most_slashes=0)
    return tuple(remarks)


def of_subject(text: str) -> tuple[PatternRemark, ...]:
    """Return the remarks on a subject's expression."""
    if all(patterns.matches(Pattern(text=text, regexp=True), subject) for subject in _UNRELATED):
        return (
            PatternRemark(
                code="any-subject",
                message=f"`{shown(text)}` matches every subject: whomever the issuer vouches for "
                "may sign",
                hint="name who signs: subject: https://HOST/OWNER/REPOSITORY/WORKFLOW@REF",
            ),
        )
    remarks = [*_loose_dots(text)]
    bare = text.removeprefix("^").removesuffix("$")
    if _LITERAL.fullmatch(bare) and not set(bare) & set("@:"):
        remarks.append(
            _partial(text, "no subject is like that", "write all of it, or .* for what may vary")
        )
    if text.removeprefix("^").startswith((".*", ".+")) and "/" in text:
        remarks.append(
            PatternRemark(
                code="open-pattern",
                message=f"`{shown(text)}` lets anything stand in front: repositories of any owner "
                "match",
                hint="begin with the host and the owner: https://github\\.com/OWNER/...",
            )
        )
    remarks += _open_end(text, most_slashes=1)
    return tuple(remarks)


def _partial(text: str, why: str, hint: str) -> PatternRemark:
    message = f"`{shown(text)}` matches no identity: {why}, and the whole of it has to match"
    return PatternRemark(code="partial-pattern", message=message, hint=hint)


def _loose_dots(text: str) -> Iterator[PatternRemark]:
    pieces = _PIECE.findall(text)
    loose = [
        at
        for at, piece in enumerate(pieces)
        if piece == "." and not "".join(pieces[at + 1 : at + 2]).startswith(_REPEATED)
    ]
    if loose:
        example = "".join("x" if at == loose[0] else piece for at, piece in enumerate(pieces))
        meant = "".join("\\." if at in loose else piece for at, piece in enumerate(pieces))
        yield PatternRemark(
            code="loose-dot",
            message="a `.` stands for any character: this also matches what begins like "
            f"`{shown(example.replace(chr(92), ''))}`",
            hint=f"write {shown_whole(meant)}",
        )


def _open_end(text: str, *, most_slashes: int) -> Iterator[PatternRemark]:
    """Yield a remark where a name may go on: ``https://github.com/org.*`` is org-evil's, too."""
    bare = _SCHEME.sub("", text.removeprefix("^"))
    at = min((at for at in (bare.find(".*"), bare.find(".+")) if at >= 0), default=-1)
    if at <= 0 or not bare[at - 1].isalnum() or bare[:at].count("/") > most_slashes:
        return
    name = re.split(r"[/@]", bare[:at].replace("\\", ""))[-1]
    yield PatternRemark(
        code="open-pattern",
        message=f"`{shown(name)}` may go on here: `{shown(name)}-evil` and "
        f"`{shown(name)}.evil.example` match, too",
        hint=f"end the name: {shown_whole(name)}/.*",
    )


def shown_whole(text: str) -> str:
    """Return the text for a hint, whole as long as it is of a reasonable length."""
    return text if len(text) <= patterns.MAX_PATTERN else shown(text)
