"""``check:`` of a recipe: that nothing may be found in the image but what is excepted here."""

from fnmatch import fnmatchcase

from msgspec import Struct

from imagekit.documents.place import SourcePlace
from imagekit.documents.scalars import ListOf, plain
from imagekit.documents.shape import Record, item

MAX_EXCEPTIONS = 256


class FindingException(Struct, frozen=True, kw_only=True):
    """A finding of ``imagekit check`` that the recipe's author has looked at and accepts."""

    finding: str
    """Its number."""
    path: str
    """A pattern of fnmatch for its place, whose ``*`` matches slashes, too."""
    reason: str
    place: SourcePlace

    def covers(self, code: str, path: str) -> bool:
        """Return whether it excepts a finding of this number and place."""
        return self.finding == code and fnmatchcase(path, self.path)


class CheckDemand(Struct, frozen=True, kw_only=True):
    """What a recipe demands of the check."""

    exceptions: tuple[FindingException, ...] = ()
    place: SourcePlace


_EXCEPTION: Record[FindingException] = Record(
    "an exception",
    {
        "finding": item(
            plain("the number of a finding", pattern=r"IK[0-9]{3}", max_length=5),
            "the number of the finding, as `imagekit check` shows it",
            required=True,
        ),
        "path": item(
            plain(
                "a path of the image, or a pattern of paths: `*` is any text, slashes too",
                max_length=1000,
                examples=("/opt/vendor/*",),
            ),
            "the finding's place; `configuration` for what the image's configuration says",
            required=True,
        ),
        "reason": item(
            plain("why, in one line", max_length=1000, min_length=8),
            "why it is right in this image; it is signed with the result",
            required=True,
        ),
    },
    make=lambda v: FindingException(
        finding=v["finding"], path=v["path"], reason=v["reason"], place=v.place
    ),
    aliases={"code": "finding", "id": "finding", "because": "reason", "paths": "path"},
)
CHECK: Record[CheckDemand] = Record(
    "what is demanded of the check",
    {
        "except": item(
            ListOf(_EXCEPTION, max_items=MAX_EXCEPTIONS),
            "findings that are right in this image, each with its reason",
            default=(),
        )
    },
    make=lambda v: CheckDemand(exceptions=tuple(v["except"]), place=v.place),
    aliases={"exceptions": "except", "ignore": "except", "allow": "except"},
)
