"""The answer to Docker's daemon: by the policy of the host, image by image."""

from typing import assert_never

from imagekit.errors import ImagekitError
from imagekit.hosts.docker.authz import Ask, FixedAnswer, Tell, decide
from imagekit.hosts.docker.request import DockerRequest
from imagekit.hosts.hook import judge_of
from imagekit.hosts.hook_types import HookConfig
from imagekit.oci.reference import PinnedReference
from imagekit.policy.findings import plain


def answer(
    config: HookConfig, request: DockerRequest, *, binds: frozenset[str] = frozenset()
) -> tuple[bool, str]:
    """Return whether Docker may do what it was asked, and the message for its user.

    The policy is read anew each time, so that a new one holds at once.

    Args:
        config: how this host judges images.
        request: what Docker was asked.
        binds: the folders of this host that containers may mount, by exactly these paths.
    """
    try:
        decision = decide(request, binds=binds)
        match decision:
            case FixedAnswer():
                message = f"imagekit: {decision.message}" if decision.message else ""
                return decision.allow, message
            case Ask():
                return _asked(config, decision.image)
            case Tell():
                return _told(config, decision)
    except ImagekitError as error:
        hint = f"; {error.hint}" if error.hint else ""
        return False, f"imagekit: refused: {plain(error.message)}{hint}"
    assert_never(decision)


def _asked(config: HookConfig, image: PinnedReference) -> tuple[bool, str]:
    ruling = judge_of(config)(image)
    return ruling.allows(image.digest), ruling.reason


def _told(config: HookConfig, decision: Tell) -> tuple[bool, str]:
    ruling = judge_of(config)(decision.image)
    if not ruling.allowed or ruling.digest is None:
        return False, ruling.reason
    name = decision.image.repository.name
    return False, (
        f"imagekit: a tag may move; the image was verified, so ask by its digest: "
        f"{decision.verb} {name}@{ruling.digest}"
    )
