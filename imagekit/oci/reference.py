"""Names of images: repositories, tagged and pinned references.

The grammar of names and tags is that of the OCI distribution-spec ("Pulling manifests"), checked
by splitting and character sets instead of one large expression, so that hostile input costs
nothing. A name is what signatures and policies speak of; where the image is read is another value
(``imagekit.oci.location``), and an image in a layout on disk has a name as well. Its host has one
spelling, whoever made it (``imagekit.oci.hostname``), and so has a name of Docker Hub: one that has
a single component stands below ``library/``.
"""

from typing import Self

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from imagekit.errors import InvalidReferenceError
from imagekit.oci.digest import Digest
from imagekit.oci.hostname import HUB, LOCALHOST, canonical_host, is_loopback, names_host

LAYOUT_HOST = LOCALHOST
"""Host part of the name of an image in a layout that says no other."""

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_TAG = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ.-_")
# distribution-spec, "Pulling manifests". It sets no length for names; its note for implementers
# says that many clients take 255 characters at most, the host and a slash included.
_MAX_TAG = 128
_ADDRESSES = ("docker://", "http://", "https://")
_TRANSPORTS = frozenset(
    {"containers-storage", "dir", "docker-archive", "docker-daemon", "oci-archive", "sif"}
)
_MAX_NAME = 255
_OFFICIAL = "library"
"""Where Docker Hub has the images whose names have one component."""


class Repository(Struct, frozen=True, order=True):
    """A repository by its full name, wherever it is (``imagekit.oci.location``)."""

    host: str
    path: str

    def __post_init__(self) -> None:
        """Give the name its one spelling.

        Raises:
            InvalidReferenceError: the host is none.
        """
        host = canonical_host(self.host)
        force_setattr(self, "host", host)
        if host == HUB and "/" not in self.path:
            force_setattr(self, "path", f"{_OFFICIAL}/{self.path}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST[:PORT]/PATH``.

        Raises:
            InvalidReferenceError: there is no host, or the path is not of the grammar.
        """
        host, slash, path = text.partition("/")
        if not slash or not names_host(host):
            raise InvalidReferenceError(
                f"{quoted(text)} names no registry",
                hint="write HOST/NAME, such as registry.example.org/apps/solver; "
                "there is no default registry",
            )
        check_path(path, whole=text)
        return cls(host, path)

    @property
    def name(self) -> str:
        """The full name, ``HOST/PATH``, that signatures and policies speak of."""
        return f"{self.host}/{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, so that no TLS is asked for."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return self.name


class TaggedReference(Struct, frozen=True, order=True):
    """A repository and a tag: something that may move."""

    repository: Repository
    tag: str

    def __post_init__(self) -> None:
        """Check the tag.

        Raises:
            InvalidReferenceError: the tag is not of the grammar.
        """
        check_tag(self.tag)

    @property
    def identity(self) -> str:
        """``HOST/PATH:TAG``, the text that a signature binds."""
        return f"{self.repository.name}:{self.tag}"

    @property
    def full(self) -> str:
        """The name with all that it says: ``HOST/PATH:TAG``."""
        return str(self)

    def pin(self, digest: Digest) -> "PinnedReference":
        """Return the reference with the digest that the tag was resolved to."""
        return PinnedReference(self.repository, digest, tag=self.tag)

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class PinnedReference(Struct, frozen=True, order=True):
    """A repository and a digest: always the same bytes.

    ``tag`` is the tag that it was asked for by, if any: what a signature has to be made for. It
    takes no part in finding the image.
    """

    repository: Repository
    digest: Digest
    tag: str | None = None

    @property
    def full(self) -> str:
        """The name with all that it says: ``HOST/PATH[:TAG]@DIGEST``."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}@{self.digest}"

    def with_digest(self, digest: Digest) -> "PinnedReference":
        """Return the reference of another object in the same repository."""
        return replace(self, digest=digest, tag=None)

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


Reference = TaggedReference | PinnedReference


def parse_reference(text: str, *, whole: str = "") -> Reference:
    """Read ``HOST/NAME:TAG`` or ``HOST/NAME[:TAG]@DIGEST``.

    Args:
        text: the reference.
        whole: what the user wrote, for the message; the text itself where it is left out.

    Raises:
        InvalidReferenceError: it is neither, or has neither tag nor digest.
    """
    if text.startswith("oci:"):
        # A host could be called so; everywhere else the word means a folder of this machine.
        raise InvalidReferenceError(
            f"{quoted(text)} names a folder, and no image in a registry",
            hint="write HOST/NAME:TAG or HOST/NAME@sha256:...",
        )
    _refuse_transport(text)
    rest, at, digest_text = text.partition("@")
    digest = Digest.parse(digest_text) if at else None
    name, tag = _split_tag(rest)
    repository = Repository.parse(name)
    if digest is not None:
        if tag is not None:
            # Through a tagged reference, which checks the grammar of the tag.
            return TaggedReference(repository, tag).pin(digest)
        return PinnedReference(repository, digest)
    if tag is None:
        raise InvalidReferenceError(
            f"{quoted(whole or text)} has neither a tag nor a digest",
            hint="write NAME:TAG or NAME@sha256:...; there is no default tag",
        )
    return TaggedReference(repository, tag)


def _refuse_transport(text: str) -> None:
    """Raise if a text begins with a transport of containers-transports(5), or is an address."""
    for address in _ADDRESSES:
        if text.startswith(address):
            raise InvalidReferenceError(
                f"{quoted(text)} begins with {address}, and the name of an image does not",
                hint=f"write {quoted(text.removeprefix(address))[1:-1]}: images are in registries "
                "unless oci:FOLDER says otherwise",
            )
    transport, _, rest = text.partition(":")
    # A host may be called so: then its port follows.
    if transport in _TRANSPORTS and not rest.partition("/")[0].isdigit():
        raise InvalidReferenceError(
            f"{quoted(text)} names an image by the transport {transport}:, which is not read",
            hint="write HOST/NAME:TAG, or oci:FOLDER:NAME:TAG for an OCI layout",
        )


def check_tag(tag: str) -> None:
    """Check a tag against the grammar of the distribution-spec.

    Raises:
        InvalidReferenceError: it does not fit.
    """
    good = 0 < len(tag) <= _MAX_TAG and _TAG.issuperset(tag)
    if not good or tag[0] in ".-":
        raise InvalidReferenceError(
            f"{quoted(tag)} is not a tag",
            hint="a tag has at most 128 letters, digits, '_', '.' and '-', "
            "and begins with a letter, a digit or '_'",
        )


def is_host(text: str) -> bool:
    """Return whether the text before the first slash can be a registry's ``HOST[:PORT]``."""
    try:
        return names_host(text) and bool(canonical_host(text))
    except InvalidReferenceError:
        return False


def complete_name(text: str) -> str:
    """Return a name with its host, as podman and docker complete one: without it is Docker Hub's.

    Args:
        text: a name with or without host, tag and digest.
    """
    first, slash, _ = text.partition("/")
    # `oci:` is a word of ours, and none of theirs: no name leads to a folder of this machine.
    whole = slash and names_host(first) and not text.startswith("oci:")
    return text if whole else f"{HUB}/{text}"


def canonical_name(text: str) -> str | None:
    """Return the one spelling of a name that somebody signed, or None where it is no name.

    Args:
        text: ``HOST/PATH`` with or without tag and digest; without a host it is Docker Hub's.
    """
    name, at, digest = text.partition("@")
    # containers-signature(5), "critical.identity.docker-reference": docker's rules apply, by which
    # ``busybox:latest`` is ``docker.io/library/busybox:latest``.
    name, tag = _split_tag(complete_name(name))
    try:
        name = Repository.parse(name).name
    except InvalidReferenceError:
        return None
    return f"{name}{'' if tag is None else f':{tag}'}{at}{digest}"


def check_path(path: str, *, whole: str) -> None:
    """Check the path of a repository against the grammar of the distribution-spec.

    Args:
        path: lower-case components with ``.``, ``_``, ``__`` or dashes between, by slashes.
        whole: what the user wrote, for the message.

    Raises:
        InvalidReferenceError: it does not fit.
    """
    if len(path) <= _MAX_NAME and all(_is_component(part) for part in path.split("/")):
        return
    raise InvalidReferenceError(
        f"{quoted(whole)}: {quoted(path)} is not a repository name",
        hint="lower-case letters and digits, with single '.', '_' or '-' between, "
        "and '/' between components",
    )


def _is_component(part: str) -> bool:
    run = ""
    for position, character in enumerate(part):
        if character in _LOWER:
            if run and not _is_separator(run):
                return False
            run = ""
        elif character in "._-" and position > 0:
            run += character
        else:
            return False
    return part != "" and run == ""


def _is_separator(run: str) -> bool:
    # The grammar's ``(\.|_|__|-+)``.
    return run in {".", "_", "__"} or set(run) == {"-"}


def _split_tag(text: str) -> tuple[str, str | None]:
    # A colon before the last slash is that of the host's port.
    slash = text.rfind("/")
    colon = text.rfind(":")
    if colon > slash:
        return text[:colon], text[colon + 1 :]
    return text, None


def quoted(text: str) -> str:
    """Return a text for a message: cut where it is long, and with nothing that moves a cursor."""
    limit = 120
    return repr(text if len(text) <= limit else text[:limit] + "...")
