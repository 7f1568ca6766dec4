"""What the checks of an image can find: a number, what it means, and the remedy."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

CONFIG = "configuration"
"""The place of what the image's configuration says."""
MAX_BREAKS = 1000
"""Most paths that one finding lists as broken by it."""


class FindingKind(Struct, frozen=True):
    """One kind of finding."""

    title: str
    remedy: str


class PortabilityFinding(Struct, frozen=True, kw_only=True):
    """Something that keeps an image from being self-contained or portable."""

    code: str
    path: str
    """Where: a path of the image with its slash, or ``CONFIG``."""
    message: str
    """What, without the path: the same for what has the same cause."""
    breaks: tuple[str, ...] = ()
    """What does not work because of it, sorted; ``MAX_BREAKS`` at most."""
    reason: str = ""
    """Why the recipe excepts it; empty where it does not."""

    @property
    def kind(self) -> FindingKind:
        """What its number stands for."""
        return KINDS[self.code]

    @property
    def hint(self) -> str:
        """The remedy."""
        return self.kind.remedy


def _kinds(**kinds: tuple[str, str]) -> Mapping[str, FindingKind]:
    return MappingProxyType({code: FindingKind(*texts) for code, texts in kinds.items()})


KINDS = _kinds(
    IK001=("not all was looked at", "make the image smaller, or split it"),
    IK101=("a library is missing", "install the package that has it, or copy it into the image"),
    IK102=(
        "a library lies where the loader does not look",
        "run ldconfig in the last step, link with an rpath of $ORIGIN, or set LD_LIBRARY_PATH",
    ),
    IK103=(
        "the loader of a program is missing",
        "install the C library that it was built with, or build it in a stage of the same base",
    ),
    IK104=(
        "a library is older than what needs it",
        "install a newer version of it, or build the program on this base",
    ),
    IK105=("a program is for another processor", "install or build it for the image's platform"),
    IK106=(
        "a library is looked for where anybody can put one",
        "link without it, or change it: patchelf --set-rpath '$ORIGIN/../lib' FILE",
    ),
    IK107=(
        "a library is there for newer processors only",
        "install the one for all, too, or say it: needs: {cpu: x86-64-v3}",
    ),
    IK108=("a program is damaged", "copy or install it again, and check its sum"),
    IK111=("the interpreter of a script is missing", "install it, or change the first line"),
    IK112=("the image's command is not there", "mend entrypoint or cmd, or install the program"),
    IK113=("a library that is always loaded is missing", "remove the line, or install it"),
    IK201=("a link leads to nothing", "install what it leads to, or remove it"),
    IK202=(
        "a link leads out of the image",
        "make it absolute, or with fewer `..`: staged in a folder it would lead into the host",
    ),
    IK203=("links lead in a circle", "remove one of them"),
    IK301=(
        "a program has the rights of another user",
        "chmod u-s,g-s it: runtimes of users ignore or forbid that, and it is a risk elsewhere",
    ),
    IK302=("a program has capabilities", "setcap -r it: users have none to give"),
    IK303=("anybody may change a file", "chmod o-w it; folders for everybody get 1777"),
    IK304=("a device, FIFO or socket", "remove it: runtimes bring their own devices"),
    IK305=(
        "an arbitrary user cannot read it",
        "chmod a+rX it: the image runs as whoever starts it, who is not root",
    ),
    IK401=("a private key", "remove it from the step that makes it, and give it as a secret"),
    IK402=("the host key of an SSH server", "remove it: every copy of the image would share it"),
    IK403=("a token", "revoke it, remove it, and give it as a secret of the recipe"),
    IK404=("a login", "change the password, remove the file, and give it as a secret"),
    IK405=("the hash of a password", "lock the account: passwd -l USER"),
    IK406=("a secret in a variable", "revoke it, and give it when the container is started"),
    IK407=(
        "a secret that a later layer only hides",
        "revoke it, and remove it in the step that makes it: everybody can read each layer",
    ),
    IK408=("a history of commands", "remove it"),
    IK501=("there are no CA certificates", "install the package ca-certificates"),
    IK502=("a user or group is not known", "add it to /etc/passwd or /etc/group, or use numbers"),
    IK503=("a locale is not there", "use C.UTF-8, or install locales or locales-all"),
    IK504=("a time zone is not there", "install tzdata, or unset TZ"),
    IK505=("a variable leads to nothing", "mend the recipe's env, or install what it names"),
    IK506=(
        "a runtime has nothing to mount over",
        "make it: a file may be empty, /dev, /proc, /sys and /tmp are folders",
    ),
    IK507=("an arbitrary user cannot write to /tmp", "chmod 1777 it"),
    IK508=("the working folder is not there", "make it in a step, or leave workdir out"),
    IK601=("a path of the build host", "mend the path, or remove the file"),
    IK602=("a proxy of the build host", "remove it: nodes cannot reach it, or must not"),
    IK603=("a site's configuration", "remove it: sites mount their own"),
    IK604=("SSH of a user", "remove it"),
    IK605=("the identity of a machine", "empty the file: each machine makes its own"),
)
"""All kinds by their numbers; the rows of docs/check.md."""


def found(code: str, path: str, message: str, *, breaks: Iterable[str] = ()) -> PortabilityFinding:
    """Return a finding at a path that has no slash in front yet."""
    broken = sorted(f"/{name}" for name in breaks)[:MAX_BREAKS]
    place = path if path == CONFIG else f"/{path}"
    return PortabilityFinding(code=code, path=place, message=message, breaks=tuple(broken))
