"""What counts as a secret that was left in an image: a short list, all of it in docs/check.md.

A key or token that a package brings for its own tests is known to everybody: folders of tests,
examples and documentation are not looked into.
"""

import re

MAX_SECRET_FILE = 64 << 10
"""Longer files are not looked into: keys and configurations are short."""
_PUBLIC = frozenset(
    {"test", "tests", "testing", "testdata", "test-data", "examples", "example", "doc", "docs"}
)
_KEY_MARK = b" PRIVATE KEY"
# RFC 7468 section 10 and 11; RFC 4716 and OpenSSH's own; PGP's block (RFC 9580 section 6.2).
_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----\r?\n"
    rb"(?:[A-Za-z-]{1,30}: [^\n]{0,200}\n){0,8}\s{0,8}[A-Za-z0-9+/=]{32}"
)
_TOKENS = {
    "GitHub": rb"gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60}",
    "GitLab": rb"glpat-[A-Za-z0-9_-]{20}",
    "AWS": rb"aws_secret_access_key\s{0,4}[=:]\s{0,4}[\"']?[A-Za-z0-9/+]{40}",
    "Slack": rb"xox[abprs]-[0-9A-Za-z-]{20}",
    "npm": rb"npm_[A-Za-z0-9]{36}",
    "PyPI": rb"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40}",
    "Docker Hub": rb"dckr_pat_[A-Za-z0-9_-]{27}",
    "Hugging Face": rb"hf_[A-Za-z]{34}",
    "Stripe": rb"sk_live_[A-Za-z0-9]{24}",
}
_TOKEN = re.compile(
    b"|".join(
        b"(?P<%s>%s)" % (name.replace(" ", "_").encode(), rule) for name, rule in _TOKENS.items()
    )
)
_TEXTS = frozenset(
    {"cfg", "conf", "env", "ini", "json", "netrc", "npmrc", "properties", "pypirc", "sh", "toml"}
    | {"txt", "xml", "yaml", "yml"}
)
"""Endings of files that tokens are looked for in, beside those without one."""
_PACKAGED = ("usr/include/", "usr/lib/", "usr/share/")
_LOGINS = {
    "config.json": rb'"auths"[^\0]{0,4096}"auth"\s{0,9}:\s{0,9}"[^"]',
    "auth.json": rb'"auths"[^\0]{0,4096}"auth"\s{0,9}:\s{0,9}"[^"]',
    "config": rb"^\s{0,16}-?\s{0,4}(?:token|client-key-data|password)\s{0,9}:\s{0,9}\S",
    ".netrc": rb"\bpassword\s{1,9}\S",
    ".git-credentials": rb"://[^\s:@/]+:[^\s@/]+@",
    ".pypirc": rb"\bpassword\s{0,9}[=:]\s{0,9}\S",
    ".npmrc": rb"_(?:authToken|auth|password)\s{0,9}=\s{0,9}[^\s$]",
    "credentials": rb"aws_secret_access_key\s{0,9}=\s{0,9}\S",
    ".pgpass": rb":[^\s:]+$",
    ".my.cnf": rb"\bpassword\s{0,9}=\s{0,9}\S",
}
"""By their names, what makes logins of files of Docker, Kubernetes, Git, AWS and others."""
_HISTORY = ("_history", ".lesshst", ".viminfo")
# crypt(5): what begins with a dollar is a hash; ``*`` and ``!`` lock an account.
_HASH = re.compile(rb"^[^:\n]{1,64}:\$[0-9a-z]{1,6}\$[^:\n]{8}", re.MULTILINE)
_NAMES = re.compile(r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|API_?KEY|PRIVATE_KEY)$", re.IGNORECASE)


def secret_in(path: str, raw: bytes) -> tuple[str, str] | None:
    """Return the code of the secret that a file holds, and what it is; None where it has none.

    Args:
        path: where it is; no slash stands in front.
        raw: all of its bytes.
    """
    name = path.rpartition("/")[2]
    found = _private_key(path, name, raw) if _KEY_MARK in raw else None
    # Most files of an image are of packages: of these nothing else is looked for.
    if found is None and not path.startswith(_PACKAGED) and "-packages/" not in path:
        found = _other(path, name, raw)
    return None if found is None or _PUBLIC & set(path.split("/")[:-1]) else found


def secret_variable(name: str, value: str) -> str:
    """Return what secret a variable holds, or nothing."""
    if _NAMES.search(name) and value and not value.startswith(("/", "$")):
        return "by its name"
    token = _TOKEN.search(value.encode("utf-8", "replace"))
    return f"a token of {_word(token)}" if token else ""


def _other(path: str, name: str, raw: bytes) -> tuple[str, str] | None:
    login = _LOGINS.get(name)
    if login is not None and re.search(login, raw, re.MULTILINE):
        return "IK404", "a login"
    if name.startswith(".") and name.endswith(_HISTORY):
        return "IK408", "what somebody typed"
    if path in {"etc/shadow", "etc/shadow-", "etc/gshadow"} and _HASH.search(raw):
        return "IK405", "the hash of a password"
    return _token(name, raw)


def _private_key(path: str, name: str, raw: bytes) -> tuple[str, str] | None:
    if not _KEY.search(raw):
        return None
    if path.startswith("etc/ssh/") and name.startswith("ssh_host_"):
        return "IK402", "the host key of an SSH server"
    return "IK401", "a private key"


def _token(name: str, raw: bytes) -> tuple[str, str] | None:
    if name.lstrip(".").rpartition(".")[2] not in _TEXTS | {name}:
        return None
    found = _TOKEN.search(raw)
    return ("IK403", f"a token of {_word(found)}") if found else None


def _word(found: re.Match[bytes]) -> str:
    return (found.lastgroup or "").replace("_", " ")
