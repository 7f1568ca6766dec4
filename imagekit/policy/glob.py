"""Globs of policies: which repositories a rule matches.

A glob is matched against the full name of a repository, ``HOST[:PORT]/PATH``, from its first
character to its last and minding the case. Component by component, split at the slashes:

* ``*`` stands for any characters within one component, also for none;
* ``**``, alone in its component, stands for one or more whole components;
* every other character stands for itself; there are no ``?``, no sets and no escapes.

So ``registry.site/apps/*`` matches ``registry.site/apps/solver`` but neither
``registry.site/apps`` nor ``registry.site/apps/cfd/solver``; ``registry.site/apps/**`` matches
the first and the last of them. There is no regular expression behind it: the time is bounded by
the product of the two lengths, whatever a hostile name looks like.

Names are matched in their one spelling (``imagekit.oci.hostname``): a glob whose host is written
in another one is refused, since it would stand there and match nothing.
"""

from collections.abc import Callable, Sequence

from imagekit.errors import InvalidReferenceError
from imagekit.oci.hostname import HUB, HUB_ALIASES, PORTS, canonical_host
from imagekit.policy.ruleset import ImageRule, Policy

ANY = "**"


def matches(glob: str, name: str) -> bool:
    """Return whether the glob matches the whole name."""
    return reaches_end(glob.split("/"), name.split("/"), within)


def reaches_end(
    globs: Sequence[str], parts: Sequence[str], takes: Callable[[str, str], bool]
) -> bool:
    """Return whether the components of a glob take all of the parts, by dynamic programming.

    Args:
        globs: the components of the glob; ``**`` takes one part or more.
        parts: what is to be taken.
        takes: whether another component takes a part.
    """
    reach = {0}
    for glob in globs:
        if glob == ANY:
            first = min(reach, default=len(parts))
            reach = set(range(first + 1, len(parts) + 1))
        else:
            reach = {at + 1 for at in reach if at < len(parts) and takes(glob, parts[at])}
    return len(parts) in reach


def within(glob: str, name: str) -> bool:
    """Return whether a component of a glob, other than ``**``, matches that of a name."""
    pieces = glob.split("*")
    if len(pieces) == 1:
        return glob == name
    first, last = pieces[0], pieces[-1]
    if len(name) < len(first) + len(last):
        return False
    if not name.startswith(first) or not name.endswith(last):
        return False
    # The leftmost place of each inner piece leaves the most room for the next ones.
    position, end = len(first), len(name) - len(last)
    for piece in pieces[1:-1]:
        position = name.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True


def literal_length(glob: str) -> int:
    """Return how many characters of the glob stand for themselves: what "longest match" counts."""
    return len(glob) - glob.count("*")


def applicable(policy: Policy, name: str) -> tuple[ImageRule, ...]:
    """Return the rules with the longest match of the name: none, one, or several that tie.

    An excluded name is looked for in the other rules as if this rule were not there.
    """
    fitting = [
        rule
        for rule in policy.images
        if matches(rule.glob, name) and not any(matches(glob, name) for glob in rule.exclude)
    ]
    longest = max((literal_length(rule.glob) for rule in fitting), default=0)
    return tuple(rule for rule in fitting if literal_length(rule.glob) == longest)


def fault(glob: str) -> str:
    """Return what is wrong with a glob, or an empty text.

    A glob that can never match makes a rule without effect, which its author would not notice.
    """
    host, _, path = glob.partition("/")
    if not host or (not path and host != ANY):
        return "a glob is HOST/PATH, such as registry.example.org/apps/**"
    if any(part == "" or (ANY in part and part != ANY) for part in glob.split("/")):
        return "`**` stands alone between slashes, and no component is empty"
    if ":" in path or "@" in glob:
        return "a glob names repositories, without tag or digest; signedIdentity binds the tag"
    allowed = "abcdefghijklmnopqrstuvwxyz0123456789._-*/"
    if not set(path) <= set(allowed):
        return "a repository has lower-case letters, digits, '.', '_', '-' and '/'"
    return _host_fault(host) or _hub_fault(host, path)


def _host_fault(host: str) -> str:
    """Return what keeps the host's part of a glob from matching a name in its one spelling."""
    if "*" not in host:
        return host_fault(host)
    if not set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-:[]*"):
        return "the host has characters that no host has; its letters are small ones"
    name, colon, port = host.rpartition(":")
    if "*" in port or "]" in port or not colon:
        name, port = host, ""
    if name.endswith(".") or port.startswith("0"):
        return "a host does not end with a dot, and a port does not begin with 0"
    if port == str(PORTS["https"]):
        return f"names do not have the port {port}, which is HTTPS's own: leave it out"
    return ""


def host_fault(host: str) -> str:
    """Return what is wrong with the spelling of a registry's host in a policy, or nothing."""
    try:
        known = canonical_host(host)
    except InvalidReferenceError as error:
        return error.message
    return "" if known == host else f"names have one spelling: write {known} for {host}"


def _hub_fault(host: str, path: str) -> str:
    """Return what keeps a glob from matching images of Docker Hub that it was written for."""
    if host == HUB and path != ANY and "/" not in path:
        return f"images of Docker Hub have two components: {HUB}/library/{path}, or {HUB}/**"
    aliased = any(within(host, alias) for alias in HUB_ALIASES)
    if "*" in host and aliased and not within(host, HUB):
        return f"the names of Docker Hub's images begin with {HUB}: write that"
    return ""
