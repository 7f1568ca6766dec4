"""Requirements files, as pip and ``uv pip compile --generate-hashes`` write them.

https://pip.pypa.io/en/stable/reference/requirements-file-format/, in the part of it that can only
mean one file each: pins with hashes (PEP 440, Version matching), markers (PEP 508), comments,
lines continued by a backslash, ``-r`` and ``-c``. Whatever would say where packages come from, or
could be another file tomorrow, is refused with its place.

Lines and words are read here, a requirement by ``packaging``. pip's own reader is private
(``pip._internal.req.req_file``), the published copies of it are of 2022, and neither knows in
which column of which line a word stood.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from msgspec import Struct, field
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from imagekit.documents.report import Report, SourceSpan, shown
from imagekit.errors import InputError
from imagekit.inputs import read_regular
from imagekit.recipe.path_inside import path_inside
from imagekit.recipe.values import package, recipe_path

MAX_BYTES = 4 << 20
"""Most bytes of a file with all that it names."""
MAX_FILES = 20
MAX_PINS = 2000
MAX_HASHES = 1000
"""Most hashes of one pin: the files of one release."""
MAX_STATED = 2000
"""Most characters of a pin with its marker, without its hashes."""
_WORD = re.compile(r"[^ \t]+")
# As pip has it: a # in a word, such as one of a URL, is no comment.
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*$")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
# str.splitlines(), which pip reads with, ends lines there as well.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
_INDEXES = frozenset(
    {"-i", "--index-url", "--extra-index-url", "--no-index", "-f", "--find-links", "--trusted-host"}
)
_NO_CHANGE = frozenset({"--require-hashes", "--prefer-binary", "--only-binary :all:"})
"""Options that say what holds anyhow."""
_REFUSED = {
    **dict.fromkeys(
        _INDEXES,
        (
            "packages come from the index of the building host's pip: of several, any could answer",
            "take the line out (pip-compile: --no-emit-index-url); set the index in pip.conf",
        ),
    ),
    **dict.fromkeys(
        ("-e", "--editable"),
        (
            "a folder that is edited is no release, and has no hash",
            "copy it in a step, or publish a wheel of it",
        ),
    ),
    "--no-binary": ("only wheels are installed: a build could run anything", "take the line out"),
}


class _Word(Struct, frozen=True):
    """A word of a line, with its place."""

    text: str
    span: SourceSpan


_Line = list[_Word]


class _Stated(Struct, frozen=True, kw_only=True):
    """A requirement as it stands in a file."""

    requirement: Requirement
    hashes: tuple[str, ...]
    span: SourceSpan
    report: Report

    @property
    def name(self) -> str:
        """The name in its normal form."""
        return canonicalize_name(self.requirement.name)

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.report.file}:{self.span.line}"

    @property
    def version(self) -> str:
        """The one version that it allows; empty where there are more."""
        found = [(entry.operator, entry.version) for entry in self.requirement.specifier]
        exact = len(found) == 1 and found[0][0] == "==" and not found[0][1].endswith(".*")
        return found[0][1] if exact else ""

    def error(self, code: str, message: str, *, hint: str) -> None:
        """Report a fault of it."""
        self.report.error(self.span, code, message, hint=hint)


def read_requirements(name: str, report: Report, span: SourceSpan) -> tuple[str, ...]:
    """Read a requirements file and those that it names, all below the recipe's folder.

    Args:
        name: the file's path below the folder.
        report: the recipe's, which knows the folder; it takes the faults of all files.
        span: where the recipe names it.

    Returns:
        One ``NAME==VERSION[ ; MARKER] --hash=sha256:...`` for each pin, in their order.
    """
    reading = _Reading(report)
    reading.file(name, report, span, constraints=False)
    return reading.finish(span)


class _Reading(Struct):
    """The files that were read so far, and what they pin."""

    recipe: Report
    pins: list[_Stated] = field(default_factory=list)
    constraints: list[_Stated] = field(default_factory=list)
    _read: dict[Path, Report] = field(default_factory=dict)
    _left: int = MAX_BYTES

    def file(self, name: str, report: Report, span: SourceSpan, *, constraints: bool) -> None:
        """Read a file that is named at a place; each is read once."""
        folder = self.recipe.folder
        path = None if folder is None else path_inside(name, folder, report=report, span=span)
        if folder is None or path is None:
            return
        if path in self._read or len(self._read) == MAX_FILES:
            twice = path in self._read
            message = f"`{shown(name)}` is " + ("named twice" if twice else "one file too many")
            hint = "name it once" if twice else f"write at most {MAX_FILES} files"
            report.error(span, "bad-requirement", message, hint=hint)
            return
        own = self._read[path] = Report(str(folder / name), "recipe")
        text = self._text(path, name, report=report, span=span)
        if text is None or not _is_plain(text, own):
            return
        own.set_source(text)
        for line in _lines(text, own):
            if len(self.pins) + len(self.constraints) == MAX_PINS:
                message = f"here are more than {MAX_PINS} pins and constraints"
                own.error(line[0].span, "bad-requirement", message, hint="split the image")
                return
            if line[0].text.startswith("-"):
                self._option(line, name, own, constraints=constraints)
            else:
                self._requirement(line, own, constraints=constraints)

    def finish(self, span: SourceSpan) -> tuple[str, ...]:
        """Compare the pins with each other and with the constraints, and return them."""
        self._bare()
        first: dict[tuple[str, str], _Stated] = {}
        for pin in self.pins:
            key = pin.name, str(pin.requirement.marker or "")
            earlier = first.setdefault(key, pin)
            if earlier is not pin:
                message = f"{pin.name} is pinned in {earlier.place} already"
                pin.error("bad-requirement", message, hint="pin it once, or by markers")
        for constraint in self.constraints:
            self._compare(constraint)
        lines = tuple(line for pin in self.pins if (line := _line_of(pin)))
        faulty = any(own.failed for own in self._read.values())
        for own in self._read.values():
            self.recipe.include(own)
        if not faulty and not self.recipe.failed and not lines:
            message = "the requirements pin nothing"
            self.recipe.error(span, "bad-requirement", message, hint="take the entry out")
        return lines

    def _text(self, path: Path, name: str, *, report: Report, span: SourceSpan) -> str | None:
        try:
            raw = read_regular(path, limit=self._left)
            self._left -= len(raw)
            return raw.decode("utf-8-sig")
        except OSError as error:
            message = f"`{shown(name)}` cannot be read: {error.strerror}"
        except UnicodeError as error:
            message = f"`{shown(name)}` is not UTF-8: {error}"
        report.error(span, "bad-requirement", message, hint="it must be a text file of pins")
        return None

    def _option(self, line: _Line, name: str, own: Report, *, constraints: bool) -> None:
        word, _, value = line[0].text.partition("=")
        value = " ".join([*([value] if value else []), *(part.text for part in line[1:])])
        if f"{word} {value}".strip() in _NO_CHANGE:
            return
        if word in {"-r", "--requirement", "-c", "--constraint"} and value and not constraints:
            below = _below(value, name, own=own, span=line[-1].span)
            if below:
                bounds = word in {"-c", "--constraint"}
                self.file(below, own, line[-1].span, constraints=bounds)
            return
        reason, hint = _REFUSED.get(
            word, ("this option is not understood here", "take the line out, or write -r FILE")
        )
        code = "other-index" if word in _INDEXES else "bad-requirement"
        own.error(line[0].span, code, f"`{shown(word)}`: {reason}", hint=hint)

    def _requirement(self, line: _Line, own: Report, *, constraints: bool) -> None:
        stated = _stated(line, own)
        if stated is None:
            return
        if not constraints:
            self.pins.append(stated)
        elif stated.requirement.marker is None:
            self.constraints.append(stated)
        else:
            message = "a constraint with a marker cannot be compared before the image is built"
            stated.error("bad-requirement", message, hint="take the marker or the line out")

    def _bare(self) -> None:
        """Report pins without a hash: once, as most often none of a file has one."""
        bare = [pin for pin in self.pins if pin.version and not pin.hashes]
        if bare:
            more = f" (nor have {len(bare) - 1} more)" if len(bare) > 1 else ""
            message = f"`{bare[0].requirement}` has no hash{more}, so a later build could differ"
            file = Path(bare[0].report.file).name
            hint = f"write them by: uv pip compile --generate-hashes requirements.in -o {file}"
            bare[0].error("no-hash", message, hint=f"{hint} (or pip-compile --generate-hashes)")

    def _compare(self, constraint: _Stated) -> None:
        """Require every pin of a constraint's name to be one that it allows."""
        specifier = constraint.requirement.specifier
        for pin in self.pins:
            if pin.name != constraint.name or not pin.version:
                continue
            other = constraint.hashes and not set(pin.hashes) <= set(constraint.hashes)
            if other or not specifier.contains(pin.version, prereleases=True):
                what = "has other hashes than" if other else "is not what"
                message = f"{pin.name}=={pin.version} {what} the constraint in {constraint.place}"
                message += "" if other else " allows"
                pin.error("bad-requirement", message, hint="compile the file again, with -c")


def _is_plain(text: str, own: Report) -> bool:
    """Require that every reader sees the same lines."""
    for number, line in enumerate(text.split("\n"), 1):
        odd = _ODD.search(line.removesuffix("\r"))
        if odd is not None:
            span = SourceSpan(number, odd.start() + 1)
            message = f"a control character, {odd[0]!r}, which some readers end a line at"
            own.error(span, "bad-requirement", message, hint="take it out")
            return False
    return True


def _lines(text: str, own: Report) -> Iterator[_Line]:
    """Yield the words of each line, joined where a backslash continues it."""
    words: _Line = []
    for number, line in enumerate(text.split("\n"), 1):
        whole = line.removesuffix("\r")
        body = _COMMENT.sub("", whole)
        continued = body.endswith("\\")
        if _is_odd_end(whole, body):
            span = SourceSpan(number, len(whole.rstrip(" \t")))
            message = "a backslash continues a line only behind a blank, as the last character"
            own.error(span, "bad-requirement", message, hint="put a blank before it, none behind")
            # What is meant by the lines below is not known.
            return
        found = _WORD.finditer(body[:-1] if continued else body)
        words += [
            _Word(entry[0], SourceSpan(number, entry.start() + 1, len(entry[0]))) for entry in found
        ]
        if words and not continued:
            yield words
            words = []
    if words:
        yield words


def _is_odd_end(whole: str, body: str) -> bool:
    """Return whether pip would join the next line in another way, or into a comment."""
    if body == whole:
        last = body.rstrip(" \t")
        return last.endswith("\\") and (last != body or not f" {last}"[:-1].endswith((" ", "\t")))
    # A line that is a comment as a whole is never continued.
    return bool(body.strip()) and (whole.endswith("\\") or body.endswith("\\"))


def _below(value: str, name: str, *, own: Report, span: SourceSpan) -> str:
    """Return the path of a file that another one names, from where that lies."""
    try:
        return str(PurePosixPath(name).parent / recipe_path(value))
    except InputError as error:
        own.error(span, "path-leaves-recipe", error.message, hint=error.hint)
        return ""


def _stated(line: _Line, own: Report) -> _Stated | None:
    """Return what a line requires; report one that is none."""
    end = next((n for n, word in enumerate(line) if word.text.startswith("-")), len(line))
    text = " ".join(word.text for word in line[:end])
    span = line[0].span
    if len(text) > MAX_STATED:
        message = f"a requirement of more than {MAX_STATED} characters"
        own.error(span, "bad-requirement", message, hint="write NAME==VERSION")
        return None
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        message, hint = f"`{shown(text)}` is no requirement: {reason}", "write NAME==VERSION"
        if "/" in line[0].text:
            message, hint = _of_a_place(text)
        own.error(span, "bad-requirement", message, hint=hint)
        return None
    if requirement.url is not None:
        message, hint = _of_a_place(text)
        own.error(span, "bad-requirement", message, hint=hint)
        return None
    hashes = _hashes(line[end:], own)
    if hashes is None:
        return None
    return _Stated(requirement=requirement, hashes=hashes, span=span, report=own)


def _of_a_place(text: str) -> tuple[str, str]:
    return (
        f"`{shown(text)}` is a file or an address, and only pins of an index are read",
        "write NAME==VERSION with its hashes; or fetch the wheel in a step and install it there",
    )


def _hashes(words: _Line, own: Report) -> tuple[str, ...] | None:
    """Return the hashes behind a requirement, each once."""
    hashes: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.text.partition("=")
        if name != "--hash":
            message = f"`{shown(word.text)}` behind a requirement is not understood"
            own.error(word.span, "bad-requirement", message, hint="write hashes only: --hash=...")
            return None
        following = word if equals else next(rest, word)
        value = value if equals else following.text
        if not _HASH.fullmatch(value):
            message = f"`{shown(value)}` is not a hash"
            hint = "write --hash=sha256: and 64 hexadecimal digits"
            own.error(following.span, "bad-requirement", message, hint=hint)
            return None
        hashes.append(value)
    if len(hashes) > MAX_HASHES:
        message = f"here are {len(hashes)} hashes"
        own.error(words[0].span, "bad-requirement", message, hint=f"at most {MAX_HASHES}")
        return None
    return tuple(dict.fromkeys(hashes))


def _line_of(pin: _Stated) -> str:
    """Return a pin as recipes have it; empty, and reported, where it is faulty."""
    requirement = pin.requirement
    if not pin.version:
        message = f"`{shown(str(requirement))}` is not pinned to one version"
        pin.error(
            "not-pinned", message, hint="write NAME==VERSION: uv pip compile --generate-hashes does"
        )
        return ""
    if not pin.hashes:
        return ""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker: Marker | None = requirement.marker
    condition = f" ; {marker}" if marker is not None else ""
    hashes = " ".join(f"--hash={entry}" for entry in pin.hashes)
    text = f"{requirement.name}{extras}=={pin.version}{condition} {hashes}"
    try:
        return package("pip", text)
    except InputError as error:
        pin.error("bad-requirement", error.message, hint=error.hint)
        return ""
