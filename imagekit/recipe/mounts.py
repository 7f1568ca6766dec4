"""``RUN --mount``: which of its forms are understood, and what each may say.

Buildah hands the options on to the kernel, and up to 1.35 it follows links in what is mounted out
to the host (CVE-2024-1753, CVE-2024-9407, CVE-2024-9675): so there is a short list of them, and
each value has a form.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from imagekit.errors import InputError
from imagekit.oci.digest import Digest
from imagekit.recipe.words import expand

_SOURCE_SINCE = "1.35.1"
_PLAIN = r"[A-Za-z0-9/._+@%~-]"
_ID = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_FORMS = {
    "type": r"bind|cache|secret|tmpfs",
    "target": rf"/{_PLAIN}*",
    "source": rf"{_PLAIN}+",
    "from": r"[^,=]+",
    "id": _ID,
    "sharing": r"shared|private|locked",
    "mode": r"[0-7]{3,4}",
    "uid": r"[0-9]{1,10}",
    "gid": r"[0-9]{1,10}",
    "required": r"true|false",
    "ro": "",
    "rw": "",
}
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "readonly": "ro",
    "readwrite": "rw",
}
_OF_TYPE = {
    "bind": frozenset({"type", "target", "source", "from", "ro", "rw"}),
    "cache": frozenset({"type", "target", "id", "sharing", "mode", "uid", "gid", "ro", "rw"}),
    "secret": frozenset({"type", "target", "id", "required", "mode", "uid", "gid"}),
    "tmpfs": frozenset({"type", "target"}),
}


class Mount(Struct, frozen=True):
    """One mount, its variables replaced."""

    values: Mapping[str, str]

    @property
    def source(self) -> str:
        """The stage or image that is mounted from; empty for the context or nothing."""
        return self.values.get("from", "")

    @property
    def bind(self) -> str:
        """The path of the context that is mounted, if it is one."""
        return "" if self.source else self.values.get("source", "")

    @property
    def since(self) -> str:
        """The version of Buildah from which on it is safe; empty for every one."""
        return _SOURCE_SINCE if self.source and "source" in self.values else ""

    def text(self, source: str) -> str:
        """Return the mount as Buildah gets it.

        Args:
            source: what stands for ``from``.
        """
        values = {**self.values, **({"from": source} if source else {})}
        if values["type"] == "cache":
            # Buildah makes a path of the target, which may lie in what another cache holds: a step
            # could put a link there. Who shares it does not matter where nobody else sees it.
            own = f"of-{Digest.of(values['target'].encode()).hex[:32]}"
            values = {"type": "cache", "id": own, **values}
            values.pop("sharing", None)
        return ",".join(f"{name}={value}" if value else name for name, value in values.items())


def mount(text: str, known: Mapping[str, str]) -> Mount:
    """Read what stands behind ``--mount=``.

    Args:
        text: comma-separated options.
        known: the variables of the stage.

    Raises:
        InputError: an option is not understood.
    """
    values = {"type": "bind"}
    seen: set[str] = set()
    for part in text.split(","):
        key, equals, value = part.partition("=")
        name = _ALIASES.get(key, key)
        value = value if name == "from" else expand(value, known)
        form = _FORMS.get(name)
        bad = form is None or re.fullmatch(form, value) is None or bool(equals) is (form == "")
        if bad or name in seen or ".." in value.split("/"):
            raise InputError(
                f"`{part[:80]}` of --mount is not understood, or given twice",
                hint=f"understood are: {', '.join(sorted(_FORMS))}",
            )
        seen.add(name)
        values[name] = value
    _check_type(values)
    return Mount(values)


def _check_type(values: Mapping[str, str]) -> None:
    kind = values["type"]
    for name in values:
        if name not in _OF_TYPE[kind]:
            raise InputError(
                f"--mount=type={kind} has `{name}`, which is not understood",
                hint=f"understood are: {', '.join(sorted(_OF_TYPE[kind]))}",
            )
    if kind == "bind" and "from" not in values and "rw" in values:
        raise InputError(
            "the context cannot be written: a step could put a link there that Buildah follows",
            hint="COPY what is to be changed",
        )
    if "target" not in values and kind != "secret":
        raise InputError(f"--mount=type={kind} has no target")
