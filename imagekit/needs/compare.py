"""A node as an image sees it, and what of an image's needs it lacks. Without I/O."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from imagekit.needs.needs import Needs, flags_of, reaches


class Node(Struct, frozen=True, kw_only=True):
    """What a node has; None and empty texts are what could not be told."""

    machine: str
    """In the words of uname(2): ``x86_64``."""
    flags: frozenset[str] | None = None
    """Of /proc/cpuinfo: those that all processors have."""
    kernel: str = ""
    """The numbers of its release."""
    config: frozenset[str] | None = None
    """Options of the kernel that are built in or modules."""
    glibc: str = ""
    cuda: str = ""
    """The newest version that the NVIDIA driver supports."""
    devices: frozenset[str] = frozenset()
    """CDI names, each kind also by itself."""
    launches: frozenset[str] | None = None
    """How Slurm's srun wires ranks up; None where there is no Slurm."""


class Lack(Struct, frozen=True, kw_only=True):
    """One need that the node does not meet."""

    need: str
    """As the recipe has it: ``cpu``, ``kernel.minimum``."""
    message: str
    hint: str


FindLacks = Callable[[Needs], Sequence[Lack]]
"""Compares what a signed statement says with one node; called only where something asks for it."""


def lacks(needs: Needs, node: Node) -> tuple[Lack, ...]:
    """Return all that the node lacks; what cannot be told of it is lacking, too."""
    checks = (_cpu, _kernel, _config, _glibc, _cuda, _devices, _pmi)
    return tuple(lack for check in checks for lack in check(needs, node))


def _cpu(needs: Needs, node: Node) -> Iterator[Lack]:
    hint = "use a node with a newer processor, or an image that was built for this one"
    if not needs.cpu:
        return
    if node.machine != "x86_64":
        yield _lack(
            "cpu", f"a processor of {needs.cpu}", f"is {node.machine or 'unknown'}", hint=hint
        )
    elif node.flags is None:
        yield _lack("cpu", f"a processor of {needs.cpu}", "does not show its flags", hint=hint)
    else:
        missing = ", ".join(sorted(flags_of(needs.cpu).keys() - node.flags))
        if missing:
            yield _lack("cpu", f"a processor of {needs.cpu}", f"lacks {missing}", hint=hint)


def _kernel(needs: Needs, node: Node) -> Iterator[Lack]:
    least = needs.kernel.minimum
    if least and not (node.kernel and reaches(node.kernel, least)):
        has = f"runs {node.kernel or 'an unknown one'}"
        hint = "use a node with a newer kernel"
        yield _lack("kernel.minimum", f"Linux {least}", has, hint=hint)


def _config(needs: Needs, node: Node) -> Iterator[Lack]:
    for option in needs.kernel.config:
        if node.config is None:
            hint = "let root make /boot/config-RELEASE readable, or load the module configs"
            yield _lack("kernel.config", f"CONFIG_{option}", "does not show its options", hint=hint)
        elif option not in node.config:
            hint = "use a node whose kernel has it"
            yield _lack("kernel.config", f"CONFIG_{option}", "was built without it", hint=hint)


def _glibc(needs: Needs, node: Node) -> Iterator[Lack]:
    if needs.glibc and not (node.glibc and reaches(node.glibc, needs.glibc)):
        has = f"has {node.glibc or 'another C library'}"
        hint = "use a node with a newer system"
        yield _lack("glibc", f"glibc {needs.glibc}", has, hint=hint)


def _cuda(needs: Needs, node: Node) -> Iterator[Lack]:
    if needs.cuda and not (node.cuda and reaches(node.cuda, needs.cuda)):
        has = f"has a driver for CUDA {node.cuda}" if node.cuda else "has no driver of NVIDIA"
        hint = "use a node with a newer driver" if node.cuda else "use a node with such a GPU"
        yield _lack("cuda", f"CUDA {needs.cuda}", has, hint=hint)


def _devices(needs: Needs, node: Node) -> Iterator[Lack]:
    for device in needs.devices:
        if device not in node.devices:
            hint = "use a node with it, or let root describe it: nvidia-ctk cdi generate"
            yield _lack(
                "devices", f"the device {device}", "has no CDI file that names it", hint=hint
            )


def _pmi(needs: Needs, node: Node) -> Iterator[Lack]:
    # Without a launcher on the node, ranks are started inside of the container.
    if needs.pmi and node.launches is not None and not node.launches & set(needs.pmi):
        wanted = " or ".join(needs.pmi)
        offered = ", ".join(sorted(node.launches)) or "none"
        hint = "install Slurm's plugin for it, or start the ranks in one container: mpirun"
        yield _lack(
            "pmi", f"a launcher that speaks {wanted}", f"has srun with {offered}", hint=hint
        )


def _lack(need: str, wanted: str, has: str, /, *, hint: str) -> Lack:
    return Lack(need=need, message=f"the image needs {wanted}, and the node {has}", hint=hint)
