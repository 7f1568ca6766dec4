"""Scopes of containers-policy.json(5), which are prefixes, for the globs of policies."""

from msgspec import Struct

from imagekit.policy.glob import ANY


class Scope(Struct, frozen=True, kw_only=True):
    """A scope, and the names that it has besides those of the glob."""

    text: str
    """As policy.json has it; empty for all of the transport."""
    wider: str = ""
    """Which other names it holds, for a message; empty where there are none."""

    @property
    def host(self) -> str:
        """The registry as registries.d has it; empty where it is not a single one."""
        host = self.text.partition("/")[0]
        return "" if "*" in host else host


def scope_of(glob: str) -> Scope | None:
    """Return the smallest scope that holds every name of the glob, or None.

    There is none where a `*` stands anywhere but at the end, or within a name.
    """
    host, *path = glob.split("/")
    if glob in {ANY, f"*/{ANY}"}:
        return Scope(text="")
    if "*" in host:
        return _subdomains(host) if path == [ANY] else None
    literal = [part for part in path if "*" not in part]
    rest = path[len(literal) :]
    if path[: len(literal)] != literal or rest not in ([], [ANY], ["*"]):
        return None
    text = "/".join([host, *literal])
    if rest == [ANY]:
        return Scope(text=text, wider=f"{text} itself" if literal else "")
    if not rest:
        return Scope(text=text, wider=f"repositories below {text}")
    own = f"{text} itself and " if literal else ""
    return Scope(text=text, wider=f"{own}repositories more than one level below {text}")


def _subdomains(host: str) -> Scope | None:
    domain = host.removeprefix("*.")
    if domain == host or "*" in domain or ":" in domain or "[" in domain:
        return None
    return Scope(text=host, wider=f"registries of {host} on any port")
