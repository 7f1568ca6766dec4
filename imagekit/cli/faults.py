"""What an exception of any kind is to a user: one of imagekit's own errors, with a remedy."""

from typing import TYPE_CHECKING

from imagekit.errors import ImagekitError, ToolError, ToolNotFoundError

if TYPE_CHECKING:
    from imagekit.cli.console import Console

_EXTRAS = {
    "aiohttp": "gate",
    "bcrypt": "gate",
    "yarl": "gate",
    "redis": "gate-redis",
    "asn1crypto": "pkcs11",
    "PyKCS11": "pkcs11",
}
"""Packages that an extra of ours brings."""


def understood(error: BaseException, console: "Console") -> ImagekitError:
    """Return an exception as an error of imagekit's.

    Args:
        error: what was raised.
        console: where its traceback is printed with --verbose, if it was not raised on purpose.
    """
    if isinstance(error, ImagekitError):
        return error
    console.settle()
    if console.verbose:
        import traceback

        traceback.print_exception(error, file=console.err)
    return _of_this_machine(error) or ImagekitError(
        f"a fault in imagekit: {type(error).__name__}: {error}",
        hint="run it again with --verbose and report what it shows",
        code="internal",
    )


def _of_this_machine(error: BaseException) -> ImagekitError | None:
    """Return the error for a full disk, too little memory or a library that is not installed.

    None where imagekit itself is at fault.
    """
    if isinstance(error, ImportError):
        name = (error.name or "").partition(".")[0]
        if name in {"", "imagekit"}:
            return None
        return ToolNotFoundError(
            f"the Python package {name} is needed, and cannot be imported: {error}",
            hint=f"pip install 'imagekit[{_EXTRAS[name]}]'"
            if name in _EXTRAS
            else "install imagekit again, with all that it depends on",
            code="NO_EXTRA" if name in _EXTRAS else "NOT_INSTALLED",
        )
    if isinstance(error, MemoryError):
        return ToolError("there is not enough memory", hint="give the process more")
    if not isinstance(error, OSError):
        return None
    named = f"{error.filename}: " if error.filename else ""
    return ToolError(
        f"{named}{error.strerror or str(error) or type(error).__name__}",
        hint="the operating system refused: look at the disk, the rights and the limits here",
        code="SYSTEM",
    )
