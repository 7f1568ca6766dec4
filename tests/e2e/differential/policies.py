"""The same trust in the words of each verifier that reads policies: ours, and skopeo's."""

import json
from pathlib import Path

import yaml

from tests.e2e.differential.peers import Question

POLICY = "imagekit.yaml"


def write_imagekit(question: Question) -> Path:
    """Write our policy beside what it names, and return it."""
    authority: dict[str, object] = {"name": "site"}
    policy: dict[str, object] = {
        "apiVersion": "imagekit/v1",
        "kind": "ImagePolicy",
        "metadata": {"name": "site", "version": 1, "expires": "2036-01-01T00:00:00Z"},
    }
    if question.key is not None:
        authority["key"] = {"path": str(_beside(question, question.key))}
    else:
        policy["trustRoots"] = {"site": {"path": str(_beside(question, question.root))}}
        who = {"issuer": question.issuer, "subject": question.identity}
        authority["keyless"] = {"identities": [who], "trustRoot": "site"}
    host = question.reference.partition("/")[0]
    rule = {
        "match": {"glob": f"{host}/**"},
        "authorities": [authority],
        "platforms": {"verify": question.level},
    }
    file = question.folder / POLICY
    if question.denied:
        policy["deny"] = {"digests": [question.denied]}
    file.write_text(yaml.safe_dump(policy | {"images": [rule]}))
    return file


def write_skopeo(question: Question) -> None:
    """Write containers-policy.json(5), registries.d and the keys that they name."""
    host = question.reference.partition("/")[0]
    signed: dict[str, object] = {"type": "sigstoreSigned"}
    if question.key is not None:
        signed["keyPath"] = str(question.folder / _beside(question, question.key))
    else:
        signed["fulcio"] = {
            "caPath": str(question.folder / _beside(question, question.fulcio)),
            "oidcIssuer": question.issuer,
            "subjectEmail": question.identity,
        }
        signed["rekorPublicKeyPath"] = str(question.folder / _beside(question, question.rekor))
    policy = {"default": [{"type": "reject"}], "transports": {"docker": {host: [signed]}}}
    (question.folder / "policy.json").write_text(json.dumps(policy))
    (question.folder / "registries.d").mkdir()
    (question.folder / "registries.d/site.yaml").write_text(
        f"docker:\n  {host}:\n    use-sigstore-attachments: true\n"
    )


def _beside(question: Question, file: Path, /) -> str:
    (question.folder / file.name).write_bytes(file.read_bytes())
    return file.name
