"""Generate a signing key, or show what a key file is.

  imagekit key generate --out ~/keys
  imagekit key generate --type ed25519
  imagekit key show ~/keys/imagekit.pub
  imagekit key show 'pkcs11:token=site;object=images?module-path=/usr/lib/softhsm/libsofthsm2.so'

The private key is encrypted in cosign's format: cosign, skopeo and Podman can use it too. The
password comes from IMAGEKIT_KEY_PASSWORD, else COSIGN_PASSWORD, else --password-file, else from a
prompt.

The default, ecdsa-p256, is what every verifier takes. ed25519 and rsa-3072 were seen accepted by
cosign 3 and skopeo too, though what cosign itself signs with an Ed25519 key is another scheme
(Ed25519ph), which no verifier takes by default. For the bundles of ecdsa-p384 cosign verify wants
--signature-digest-algorithm sha384.

Keys that never leave a token or a cloud are named by a URI, and their PIN comes from where
passwords come from. hsm:ID?label=TOKEN (the library in PYKCS11LIB) and pkcs11:... (RFC 7512, as
p11tool and cosign print it, without a PIN) want imagekit[pkcs11]. awskms:, gcpkms:, azurekms: and
hv:, spelled as by securesystemslib, want imagekit[kms-aws], [kms-gcp], [kms-azure], [kms-vault].
"""

import argparse
from pathlib import Path

from imagekit.cli.console import Console
from imagekit.signatures.publickey import KINDS, PublicKey


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the words of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="generate|show")
    generate = verbs.add_parser("generate", help="write imagekit.key and imagekit.pub")
    generate.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for the two files (default: this folder)",
    )
    generate.add_argument(
        "--type",
        dest="kind",
        default=KINDS[0],
        choices=KINDS,
        help=f"kind of the key (default: {KINDS[0]}, which every verifier takes)",
    )
    _add_common(generate)
    show = verbs.add_parser("show", help="show the kind and fingerprint of a key")
    show.add_argument(
        "file", metavar="FILE|URI", help="a public or private key, also one on a token or in a KMS"
    )
    _add_common(show)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Generate or show."""
    if arguments.verb == "generate":
        return _generate(arguments, console)
    return _show(arguments, console)


def _generate(arguments: argparse.Namespace, console: Console) -> int:
    from imagekit.cli.password import password_source
    from imagekit.signatures.keys import key_files

    password = password_source(arguments.password_file, new=True)
    files = key_files.generate(arguments.out, password, kind=arguments.kind)
    fingerprint = files.public_key.fingerprint
    console.result(
        f"{files.private}\n{files.public}",
        {
            "schema": 1,
            "private": str(files.private),
            "public": str(files.public),
            "fingerprint": fingerprint,
        },
    )
    console.note(
        f"fingerprint {fingerprint}\n"
        f"keep {files.private.name} and its password apart; "
        f"give {files.public.name} to whoever verifies: imagekit policy new --key {files.public}"
    )
    return 0


def _show(arguments: argparse.Namespace, console: Console) -> int:
    from imagekit.signatures.publickey import describe, public_key_pem

    public_key, private = _found(arguments)
    kind = describe(public_key)
    half = "private" if private else "public"
    pem = public_key_pem(public_key).decode()
    console.result(
        f"{arguments.file}: {half} key, {kind}\nfingerprint {public_key.fingerprint}\n{pem}",
        {
            "schema": 1,
            "file": arguments.file,
            "half": half,
            "kind": kind,
            "fingerprint": public_key.fingerprint,
            "public_key": pem,
        },
    )
    return 0


def _found(arguments: argparse.Namespace) -> tuple[PublicKey, bool]:
    """Return the public half, and whether it is a private key that was named."""
    from imagekit.cli.password import password_source
    from imagekit.signatures.keys import key_files
    from imagekit.signatures.keys.open import find_key
    from imagekit.signatures.keys.uri import is_key_uri

    password = password_source(arguments.password_file)
    if is_key_uri(arguments.file):
        return find_key(arguments.file, password).public_key, True
    if b"PRIVATE KEY-----" in key_files.read_key_file(Path(arguments.file)):
        return key_files.FileKey.from_file(arguments.file, password).public_key, True
    return key_files.read_public_key(Path(arguments.file)), False


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-file", type=Path, metavar="FILE", help="file whose first line is the password"
    )
