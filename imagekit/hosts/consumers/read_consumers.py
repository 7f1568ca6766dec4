"""Reads the file of consumers: who must accept an image before any of its tags is written."""

from pathlib import Path
from typing import Any

from imagekit.documents import strictyaml
from imagekit.documents.place import SourcePlace
from imagekit.documents.report import Report
from imagekit.documents.scalars import Boolean, Choice, ListOf, Text, plain
from imagekit.documents.shape import INVALID, OneKey, Record, Values, item
from imagekit.errors import InputError
from imagekit.hosts.consumers.consumer_programs import Cosign, PodmanPull, Skopeo
from imagekit.hosts.consumers.consumer_verifiers import AskedGate, NodePolicy
from imagekit.hosts.hook_config import GATE
from imagekit.inputs import read_input
from imagekit.oci.registry.options import RegistryOptions
from imagekit.publish.consumers import Consumer

MAX_CONSUMERS = 16
_FILE = plain("a path, relative to this file", examples=("policy.json",))


def read_consumers(file: Path, options: RegistryOptions) -> tuple[Consumer, ...]:
    """Return who must accept an image.

    Args:
        file: the file; paths in it are relative to its folder.
        options: how the registry is reached that is published to.

    Raises:
        InputError: it cannot be read or accepted; every fault at once, with its place.
    """
    report = Report(str(file), "consumers")
    try:
        raw = read_input(file, limit=strictyaml.MAX_BYTES)
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise InputError(message, code="consumers/unreadable") from error
    read = _shape(file.absolute().parent, options).read(strictyaml.compose(raw, report), report)
    report.check(InputError, what="the file of consumers")
    if read is INVALID:
        raise InputError(f"{file} cannot be accepted", code="consumers/invalid")
    return read


def _shape(folder: Path, options: RegistryOptions) -> Record[tuple[Consumer, ...]]:
    def path(values: Values, name: str) -> Path | None:
        return folder / values[name] if values[name] else None

    def key(text: str) -> str:
        return text if "://" in text else str(folder / text)

    policy = {"policy": item(_FILE, "the file that it judges by", required=True)}
    consumer: OneKey[Consumer] = OneKey(
        "a consumer",
        {
            "imagekit": item(
                Record(
                    "a node that verifies by imagekit",
                    policy,
                    make=lambda v: NodePolicy(policy=folder / v["policy"], options=options),
                ),
                "`imagekit verify` by a policy",
            ),
            "skopeo": item(
                Record(
                    "skopeo",
                    {
                        **policy,
                        "registries": item(_FILE, "a folder of containers-registries.d(5)"),
                    },
                    make=lambda v: Skopeo(
                        policy=folder / v["policy"],
                        registries=path(v, "registries"),
                        options=options,
                    ),
                ),
                "`skopeo copy` by a policy of containers-policy.json(5)",
            ),
            "podman": item(
                Record(
                    "Podman",
                    policy,
                    make=lambda v: PodmanPull(policy=folder / v["policy"], options=options),
                ),
                "`podman pull` by a policy of containers-policy.json(5)",
            ),
            "cosign": item(
                Record(
                    "cosign",
                    {
                        "key": item(plain("a file, or a key's URI"), "the public key"),
                        "identity": item(plain("an identity"), "who has signed"),
                        "issuer": item(plain("a URL"), "who has confirmed the identity"),
                        "trusted_root": item(_FILE, "the trusted root, instead of Sigstore's"),
                        "tlog": item(
                            Boolean("whether"),
                            "whether a log's entry is wanted; for an identity by default",
                        ),
                    },
                    make=lambda v: Cosign(
                        key=key(v["key"]) if v["key"] else "",
                        identity=v["identity"] or "",
                        issuer=v["issuer"] or "",
                        trusted_root=path(v, "trusted_root"),
                        tlog=not v["key"] if v["tlog"] is None else v["tlog"],
                        options=options,
                    ),
                    one_of=(("key", "identity"),),
                    rules=(_issuer,),
                ),
                "`cosign verify` by a key or an identity",
            ),
            "gate": item(
                Record(
                    "a running gate",
                    {
                        "url": item(GATE, "where it answers", required=True),
                        "ca": item(_FILE, "the only authorities (PEM) that it is trusted by"),
                        "name": item(
                            Text("a name", pattern="[a-z0-9]+(?:[._-][a-z0-9]+)*"),
                            "its name for the registry, where it stands before several",
                            default="",
                        ),
                    },
                    make=lambda v: _gate(v, path(v, "ca")),
                ),
                "`imagekit gate`, asked as what pulls through it does",
            ),
        },
        make=_made,
    )
    return Record(
        "a file of consumers",
        {
            "schema": item(Choice("version of the form", (1,)), "always 1", required=True),
            "consumers": item(
                ListOf(consumer, min_items=1, max_items=MAX_CONSUMERS),
                "who must accept an image before any of its tags is written",
                required=True,
            ),
        },
        make=lambda v: tuple(v["consumers"]),
    )


def _made(name: str, consumer: Any, place: SourcePlace) -> Consumer:
    del name, place
    made: Consumer = consumer
    return made


def _gate(values: Values, ca_file: Path | None) -> AskedGate:
    address, tls = values["url"]
    url = f"{'https' if tls else 'http'}://{address}"
    return AskedGate(url=url, tls=tls, address=address, ca_file=ca_file, name=values["name"])


def _issuer(values: Values, report: Report) -> None:
    if ("identity" in values) is not ("issuer" in values):
        message = "`identity` and `issuer` belong together: another issuer may know the same name"
        report.error(values.span, "bad-combination", message, hint="write both, or `key` alone")
