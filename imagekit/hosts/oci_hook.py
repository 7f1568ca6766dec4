"""Whether a container of Podman may start: by the image that it is made of.

It is called as a hook of the runtime (runtime-spec config.md, "POSIX-platform Hooks"), which gets
the container's state on stdin.
"""

from collections.abc import Iterator
from pathlib import Path

from imagekit.documents import strictjson
from imagekit.documents.fields import Fields
from imagekit.errors import ImagekitError, InvalidReferenceError
from imagekit.hosts.containerd import reason
from imagekit.hosts.hook import judge_of, policy_of
from imagekit.hosts.hook_types import HookConfig
from imagekit.hosts.storages import find_image, image_of_container
from imagekit.oci.reference import PinnedReference, parse_reference
from imagekit.offline.image_store import RECEIPTS, ImageStore, StoredImage

ANNOTATION = "dev.imagekit.digest"
"""The annotation by which a container states its image's digest; another one does not start."""
MAX_STATE = 4 << 20


def answer(config: HookConfig, raw: bytes) -> tuple[bool, str]:
    """Return whether the container may start, and why not.

    Args:
        config: the host's configuration.
        raw: the container's state, as the runtime hands it to hooks (runtime-spec, "State").

    Raises:
        ImagekitError: there is no answer; then it may not.
    """
    state = Fields.of(
        strictjson.loads(raw, what="the container's state"),
        what="the container's state",
        code="BAD_STATE",
    )
    bundle = Path(state.text("bundle"))
    store, image = find_image(image_of_container(state.text("id"), bundle), bundle)
    expected = state.optional_object("annotations").optional_text(ANNOTATION)
    known = {str(image.digest), *image.digests}
    if expected and expected not in known:
        return False, f"imagekit: refused: the image is {image.digest}, and not {expected[:80]}"
    if (store.folder / RECEIPTS).is_dir():
        return _by_receipt(config, store, image)
    return _by_name(config, image)


def _by_receipt(config: HookConfig, store: ImageStore, image: StoredImage) -> tuple[bool, str]:
    from imagekit.offline.check_receipt import Asked, check

    (checked,) = check(store.folder, policy=policy_of(config), asked=Asked(image=image.image))
    return checked.verdict.allowed, reason(checked.verdict)


def _by_name(config: HookConfig, image: StoredImage) -> tuple[bool, str]:
    """Judge by each of the image's names: what is allowed under one of them may run."""
    message = f"imagekit: refused: the image {image.image[:12]} has no name to judge it by"
    judge = judge_of(config)
    for reference in _references(image):
        try:
            ruling = judge(reference)
        except ImagekitError as error:
            message = f"imagekit: refused, as there is no verdict: {error.message}"
            continue
        message = ruling.reason
        if ruling.allows(image.digest):
            return True, message
    return False, message


def _references(image: StoredImage) -> Iterator[PinnedReference]:
    for name in image.names[:8]:
        try:
            repository = parse_reference(name).repository
        except InvalidReferenceError:
            continue
        yield PinnedReference(repository, image.digest)
