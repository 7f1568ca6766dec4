"""Options that several commands share, so that they are spelled and explained once."""

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagekit.errors import InputError, UsageError
from imagekit.settings.keys import BY_NAME, KEYS
from imagekit.settings.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imagekit.build.use_lock import LockWish
    from imagekit.oci.destination import Destination
    from imagekit.oci.reference import Repository
    from imagekit.oci.registry.options import RegistryOptions
    from imagekit.oci.types import Platform
    from imagekit.policy.ruleset import OpenedPolicy
    from imagekit.policy.signers import PolicySigners
    from imagekit.recipe import Recipes
    from imagekit.signatures.ports import Signer
    from imagekit.verify.ports import RollbackStore

_PLATFORM = re.compile(r"linux/[a-z0-9_]{1,30}(?:/[a-z0-9]{1,20})?")
_DESTS = {"as": "alias", "stage-to": "to", "realms": "realm", "mirrors": "mirror"}
"""Where an option's value is, if it is not called as the setting is."""


def configured(arguments: argparse.Namespace, name: str) -> Any:
    """Return what the option says, else the variable, else the nearest file that has it; or None.

    Of settings that exclude each other the first of these that says any of them says all of them.

    Args:
        arguments: of the command line.
        name: of a setting, ``imagekit.settings.keys``.

    Raises:
        InputError: the variable or the file that says it cannot be accepted.
    """
    group = BY_NAME[name].group
    names = [key.name for key in KEYS if key.name == name or (group and key.group == group)]
    if any(_given(arguments, other) for other in names):
        return _given(arguments, name)
    found = _settings(arguments).find(name)
    return None if found is None else found.value


def needed(arguments: argparse.Namespace, name: str, *, metavar: str, hint: str = "") -> Any:
    """Return a setting that the command cannot do without.

    Raises:
        UsageError: neither an option nor a variable nor a file says it.
        InputError: the variable or the file that says it cannot be accepted.
    """
    value = configured(arguments, name)
    if value is None:
        raise UsageError(missing(name), hint=hint + said_by(name, metavar=metavar))
    return value


def destination_of(arguments: argparse.Namespace) -> "Destination | None":
    """Return where recipes are published; None where nothing says it.

    Raises:
        InvalidReferenceError: what says it is no destination.
    """
    from imagekit.oci.destination import Destination

    to = configured(arguments, "to")
    alias = configured(arguments, "as") or ""
    return None if to is None else Destination.parse(to, alias=alias)


def missing(name: str) -> str:
    """Return the message for a setting that nothing says."""
    return f"nothing names {BY_NAME[name].text}"


def said_by(name: str, *, metavar: str) -> str:
    """Return the three ways to say a setting: option, variable, file."""
    option = "--to" if name == "stage-to" else f"--{name}"
    return (
        f'{option} {metavar}, or {BY_NAME[name].variable}, or `{name} = "{metavar}"` in '
        "imagekit.toml (where: imagekit config files)"
    )


def _given(arguments: argparse.Namespace, name: str) -> Any:
    """Return what the command line says of a setting; None where it says nothing."""
    value = vars(arguments).get(_DESTS.get(name, name.replace("-", "_")))
    return None if value in (None, False, "", []) else value


def _settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings of this command, whose files are read once."""
    if "settings" not in arguments:
        arguments.settings = Settings.here()
    found: Settings = arguments.settings
    return found


def add_registry_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of how registries are reached; ``registry_of`` reads them."""
    group = parser.add_argument_group("registry")
    group.add_argument(
        "--plain-http",
        action="store_true",
        help="the registry speaks HTTP without TLS (a registry on loopback needs no flag)",
    )
    group.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="certificate authorities (PEM) to trust for the registry, besides the system's",
    )
    group.add_argument(
        "--realm",
        action="append",
        default=[],
        metavar="HOST",
        help="a token server that may see registry logins, besides a registry's own host and those "
        "below it; may be repeated (and: IMAGEKIT_REALMS, by commas)",
    )


def registry_of(
    arguments: argparse.Namespace, *, plain_hosts: frozenset[str] | None = None
) -> "RegistryOptions":
    """Return what ``add_registry_options`` declared.

    Args:
        arguments: of the command line.
        plain_hosts: the registries that ``--plain-http`` is for, where it is not for all.
    """
    from imagekit.oci.hostname import realm_host
    from imagekit.oci.registry.options import RegistryOptions

    # Hosts that a file names are meant one by one, besides those that the option is for.
    named = frozenset(_found(arguments, "plain-http") or ())
    if not arguments.plain_http:
        plain_hosts = named or None
    elif plain_hosts is not None:
        plain_hosts |= named
    return RegistryOptions(
        plain_http=arguments.plain_http or bool(named),
        plain_hosts=plain_hosts,
        ca_file=configured(arguments, "ca-file"),
        realms=(*map(realm_host, arguments.realm), *(_found(arguments, "realms") or ())),
    )


def _found(arguments: argparse.Namespace, name: str) -> Any:
    """Return a setting that is added to what an option says."""
    found = _settings(arguments).find(name)
    return None if found is None else found.value


def add_policy_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--policy FILE``, which has no default: no policy, no verdict."""
    group = parser.add_argument_group("policy")
    group.add_argument("--policy", type=Path, metavar="FILE", help="the policy to judge by")
    add_policy_signers(group)
    group.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="the record of which releases and versions of policies were seen "
        "(default: imagekit/seen.db in XDG_STATE_HOME)",
    )


def add_policy_signers(group: "argparse._ActionsContainer") -> None:  # has no other name
    """Add ``--policy-key PUBLIC`` and ``--policy-authority FILE``."""
    who = group.add_mutually_exclusive_group()
    who.add_argument(
        "--policy-key",
        type=Path,
        action="append",
        metavar="PUBLIC",
        help="obey the policy only if this key signed it (imagekit policy sign); may be repeated, "
        "then any one of them (default: the files of IMAGEKIT_POLICY_KEY, separated by "
        f"`{os.pathsep}`)",
    )
    who.add_argument(
        "--policy-authority",
        type=Path,
        metavar="FILE",
        help="the same by a file of authorities, also keyless ones (imagekit schema "
        "policy-authority)",
    )


def memory_of(arguments: argparse.Namespace) -> "RollbackStore":
    """Return the record of seen releases that the command line names."""
    from imagekit.verify.rollback import SqliteRollbackStore, default_path

    return SqliteRollbackStore(configured(arguments, "state") or default_path())


def policy_file(arguments: argparse.Namespace) -> Path:
    """Return the policy's file.

    Raises:
        UsageError: nothing names one.
    """
    file: Path = needed(arguments, "policy", metavar="FILE")
    return file


def policy_of(
    arguments: argparse.Namespace, *, memory: "RollbackStore | None" = None
) -> "OpenedPolicy":
    """Return the policy of the command line, judged itself: see ``OpenedPolicy.standing``.

    Args:
        arguments: what ``add_policy_option`` declared.
        memory: what was accepted before; that of the command line where it is left out.

    Raises:
        PolicyError: the policy, or who may sign it, cannot be accepted.
        UsageError: no policy is named, where the option may be left out.
    """
    from imagekit.verify.policies import open_policy

    return open_policy(
        policy_file(arguments),
        signers=policy_signers(arguments),
        memory=memory or memory_of(arguments),
    )


def names_policy_signers(arguments: argparse.Namespace) -> bool:
    """Return whether the command line, the environment or a file names signers of policies."""
    return any(configured(arguments, name) for name in ("policy-key", "policy-authority"))


def policy_signers(arguments: argparse.Namespace) -> "PolicySigners | None":
    """Return the signers, one of whom must have signed the policy; None where none are named.

    Raises:
        PolicyError, SigningKeyError: they cannot be read, which never counts as none.
        InputError: a variable is set and names no file.
    """
    authority = configured(arguments, "policy-authority")
    if authority is not None:
        from imagekit.policy.signers import load_signers

        return load_signers(authority)
    given = configured(arguments, "policy-key")
    if not given:
        return None
    from imagekit.policy.signers import PolicySigners
    from imagekit.signatures.authority import Authority
    from imagekit.signatures.keys.key_files import read_public_key

    return PolicySigners(
        authorities=tuple(Authority(name=file.stem, key=read_public_key(file)) for file in given)
    )


def add_signer_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the signer: a key, or an identity."""
    add_key_options(parser)
    group = parser.add_argument_group("keyless")
    group.add_argument(
        "--keyless",
        action="store_true",
        help="sign as an identity, without a key: with a token, a certificate of Fulcio and an "
        "entry of Rekor (the public good instance, unless --trust-config says another)",
    )
    group.add_argument(
        "--identity-token",
        default="",
        metavar="TOKEN",
        help="the identity token, or a file that holds it; else that of GitHub Actions or GitLab, "
        "else by a browser at a terminal",
    )
    group.add_argument(
        "--trust-config",
        type=Path,
        metavar="FILE",
        help="another instance of Sigstore: its ClientTrustConfig in JSON",
    )


def signer_of(arguments: argparse.Namespace, *, later: bool = False) -> "Signer":
    """Return the signer that the command line asks for.

    Args:
        arguments: of the command line.
        later: whether a key's file is opened only when something is to be signed.

    Raises:
        UsageError: it asks for a key and for keyless, or for neither.
        SigningKeyError: the key does not open, or there is no token.
    """
    from imagekit.cli.password import password_source
    from imagekit.sign.open_signer import (
        KeylessOptions,
        at_terminal,
        choose,
        open_signer,
        signer_opened_later,
    )

    key, keyless = arguments.key, arguments.keyless
    trust_config = arguments.trust_config
    if not (key or keyless or arguments.identity_token or trust_config):
        key, keyless = configured(arguments, "key"), bool(configured(arguments, "keyless"))
    if keyless or arguments.identity_token:
        trust_config = configured(arguments, "trust-config")
    return choose(
        key=key,
        keyless=keyless,
        options=KeylessOptions(
            identity_token=arguments.identity_token,
            trust_config=trust_config,
            interactive=at_terminal(),
        ),
        password=password_source(configured(arguments, "password-file")),
        opener=signer_opened_later if later else open_signer,
    )


def add_key_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--key FILE|URI`` and ``--password-file FILE``."""
    group = parser.add_argument_group("key")
    group.add_argument(
        "--key",
        type=Path,
        metavar="FILE|URI",
        help="private key: cosign's encrypted file or PEM, or hsm:, pkcs11:, awskms:, gcpkms:, "
        "azurekms:, hv: for one on a token or in a cloud (see: imagekit key --help); password and "
        "PIN come from IMAGEKIT_KEY_PASSWORD, else COSIGN_PASSWORD, --password-file or a prompt",
    )
    group.add_argument(
        "--password-file", type=Path, metavar="FILE", help="file whose first line is the password"
    )


def add_mirrors(parser: argparse._ActionsContainer) -> None:
    """Add the option for where distributions are got from; ``mirrors_of`` reads it."""
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="where packages of debian, debian-security or ubuntu are got from, instead of the "
        "mirror that a recipe or the host's apt configuration names; may be repeated",
    )


def mirrors_of(arguments: argparse.Namespace) -> "Mapping[str, str]":
    """Return what ``add_mirrors`` declared: addresses by the names of the archives.

    Raises:
        UsageError: one has another name, no good address, or is there twice.
    """
    from imagekit.build.tools.mirrors import MIRROR_NAMES
    from imagekit.recipe.items import REPOSITORY
    from imagekit.recipe.values import url

    mirrors: dict[str, str] = {}
    for text in configured(arguments, "mirrors") or ():
        name, _, address = text.partition("=")
        if name not in MIRROR_NAMES or name in mirrors:
            fault = "is there twice" if name in mirrors else "has no mirror"
            raise UsageError(
                f"--mirror: `{name[:60]}` {fault}",
                hint=f"write NAME=URL, once for each of: {', '.join(MIRROR_NAMES)}",
            )
        if not REPOSITORY.matches(address):
            raise UsageError(
                f"--mirror: what stands behind `{name}=` is not {REPOSITORY.name}",
                hint=f"for example: {name}={REPOSITORY.examples[0]}",
            )
        try:
            mirrors[name] = url(address)
        except InputError as error:
            raise UsageError(
                f"--mirror: {error.message}", hint="a mirror with a login is one of the host's apt"
            ) from error
    return mirrors


def add_lock_options(parser: argparse._ActionsContainer) -> None:
    """Add the options for whether recipes are built from their locks; ``lock_wish`` reads them."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--locked",
        action="store_true",
        help="refuse a recipe whose packages are not locked by a recipe.lock beside it (default "
        "where CI is set; IMAGEKIT_LOCKED=false changes that)",
    )
    which.add_argument(
        "--unlocked",
        action="store_true",
        help="pass over recipe.lock, and take what the mirrors have now",
    )


def add_cache_from(parser: argparse._ActionsContainer) -> None:
    """Add the option for who has packages that left their mirrors; ``cache_from`` reads it."""
    parser.add_argument(
        "--cache-from",
        metavar="HOST/REPOSITORY",
        help="asked for locked packages that have left their mirrors (imagekit cache push)",
    )


def cache_from(arguments: argparse.Namespace) -> "Repository | None":
    """Return the repository that is asked for packages which have left their mirrors, if any.

    Raises:
        InvalidReferenceError: it is none.
    """
    from imagekit.oci.reference import Repository

    stated = configured(arguments, "cache-from")
    return None if stated is None else Repository.parse(stated)


def lock_wish(arguments: argparse.Namespace) -> "LockWish":
    """Return what ``add_lock_options`` declared, else the setting, else what CI says."""
    if arguments.unlocked:
        return "ignored"
    stated = configured(arguments, "locked")
    if stated is None:
        stated = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    return "required" if stated else "auto"


def add_recipes(parser: argparse._ActionsContainer) -> None:
    """Add the option for the folder in which recipes find each other."""
    parser.add_argument(
        "--recipes",
        type=Path,
        metavar="FOLDER",
        help="where bases are looked for by name; by default the nearest folder of your own above "
        "the recipe that holds imagekit.toml or .git",
    )


def recipes_of(arguments: argparse.Namespace) -> "Recipes":
    """Return the recipes of one command, in the tree that is named."""
    from imagekit.recipe import Recipes

    return Recipes(configured(arguments, "recipes"))


def platform_of(text: str | None) -> "Platform | None":
    """Return the platform that an option names; None where it is not given.

    Raises:
        InputError: it is none.
    """
    from imagekit.oci.types import Platform

    if text is None:
        return None
    if _PLATFORM.fullmatch(text) is None:
        raise InputError(
            f"{text!r} is no platform", hint="write OS/ARCHITECTURE, such as linux/arm64"
        )
    os, architecture, variant = (*text.split("/"), "")[:3]
    return Platform(os=os, architecture=architecture, variant=variant)
