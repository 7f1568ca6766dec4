"""Every error of imagekit, in one hierarchy, each with the exit code of the command line.

    ImagekitError 1            a fault of imagekit itself, or the root to catch them all
    ├ UsageError 64            wrong words on the command line
    ├ InputError 2             a recipe, policy, key, reference or path that cannot be accepted
    │ ├ RecipeError  PolicyError  SigningKeyError  InvalidReferenceError  DocumentError
    ├ DeniedError 3            a verdict that says no, where a caller asked for an exception
    ├ VerificationError 4      a signature or attestation that does not hold, outside of a verdict
    ├ RollbackStoreError 6     what a verifier remembers cannot be read or written
    ├ IntegrityError 5         bytes that differ from their digest or size; never retried
    └ ToolError 6              a program or a registry failed
      ├ ToolNotFoundError      the program is not installed
      ├ ToolTimeoutError       it took longer than allowed
      ├ BuildError             a step of a recipe failed
      ├ ConsumerRefusedError 4 what will pull an image does not accept it
      └ RegistryError          an answer that is not the one asked for
        ├ NotFoundError        404
        └ AuthError            401 or 403

A message says what, which value and where, in lower case and without a full stop; the hint says
what to do about it.
"""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct


class Diagnostic(Struct, frozen=True, kw_only=True):
    """One fault in a file that a person wrote, with the place of it.

    Lines and columns count from 1; ``line`` 0 means that the file as a whole is meant.
    """

    code: str
    """Stable word for programs, such as ``recipe/unknown-key``."""
    message: str
    file: str
    line: int = 0
    column: int = 0
    length: int = 1
    """How many characters the caret underlines."""
    source: str = ""
    """The text of the line, without its end."""
    hint: str = ""
    severity: str = "error"
    """``error`` or ``warning``."""


class ImagekitError(Exception):
    """Root of all errors that imagekit raises on purpose.

    Args:
        message: what happened, with which value and where.
        hint: what the reader can do about it.
        code: stable word for programs, such as ``NO_SIGNATURE`` or ``build/step-failed``.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class UsageError(ImagekitError):
    """The command line was not understood."""

    exit_code = 64


class InputError(ImagekitError):
    """Something that a person wrote cannot be accepted.

    Args:
        message: what is wrong.
        hint: what to do about it.
        code: stable word for programs.
        diagnostics: each single fault with its place, where there is a file.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        diagnostics: Sequence[Diagnostic] = (),
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.diagnostics = tuple(diagnostics)


class RecipeError(InputError):
    """A recipe, or a file beside it, cannot be accepted."""


class PolicyError(InputError):
    """A policy cannot be accepted; nothing is verified by half a policy."""


class SigningKeyError(InputError):
    """A key file cannot be read, is of an unknown kind, or its password is wrong."""


class InvalidReferenceError(InputError):
    """A reference, destination or digest is not one."""


class DocumentError(InputError):
    """Bytes from a registry or a file are not the document that they should be."""


class DeniedError(ImagekitError):
    """A verdict said no and the caller asked for an exception instead of the verdict."""

    exit_code = 3


class VerificationError(ImagekitError):
    """A signature or attestation does not hold, outside of a policy decision."""

    exit_code = 4


class RollbackStoreError(ImagekitError):
    """What a verifier remembers of earlier verdicts cannot be read or written."""

    exit_code = 6


class IntegrityError(ImagekitError):
    """Bytes differ from the digest or size that was promised. It is never retried."""

    exit_code = 5


class ToolError(ImagekitError):
    """A program or a registry failed.

    Args:
        message: what failed.
        hint: what to do about it.
        code: stable word for programs.
        argv: the command, secrets already replaced; empty where no program ran.
        status: the exit code of the program.
        output: the last lines that it wrote.
    """

    exit_code = 6

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        argv: Sequence[str] = (),
        status: int | None = None,
        output: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.argv = tuple(argv)
        self.status = status
        self.output = output


class ToolNotFoundError(ToolError):
    """A program that is needed is not installed."""


class ToolTimeoutError(ToolError):
    """A program took longer than it was allowed to."""


class BuildError(ToolError):
    """A step of a recipe failed.

    Args:
        message: which step failed and how.
        hint: what to do about it.
        code: stable word for programs.
        argv: the command, secrets already replaced.
        status: the exit code of the step.
        output: the last lines that it wrote.
        diagnostic: the place of the step in the recipe.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        argv: Sequence[str] = (),
        status: int | None = None,
        output: str = "",
        diagnostic: Diagnostic | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code, argv=argv, status=status, output=output)
        self.diagnostic = diagnostic


class ConsumerRefusedError(ToolError):
    """What will pull an image does not accept it, so that no tag of it was written."""

    exit_code = 4


class RegistryError(ToolError):
    """A registry gave an answer that is not the one asked for, or none.

    Args:
        message: what was asked and what came back.
        hint: what to do about it.
        code: stable word for programs.
        http_status: the status of the response; None where there was none.
        reason: the registry's own code, such as ``MANIFEST_UNKNOWN``.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        http_status: int | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.http_status = http_status
        self.reason = reason


class NotFoundError(RegistryError):
    """The registry or layout does not have it."""


class TagRaceError(RegistryError):
    """A tag was written, and perhaps over what another client wrote in the meantime."""


class AuthError(RegistryError):
    """The registry wants credentials, or other ones."""
