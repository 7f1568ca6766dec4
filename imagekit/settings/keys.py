"""Which settings there are: the one table of their names, for files, variables and options."""

from typing import Final

from msgspec import Struct

FILE_NAME: Final = "imagekit.toml"


class Key(Struct, frozen=True, kw_only=True):
    """One setting."""

    name: str
    """As it stands in a file; the option of the same name is ``--NAME``."""
    text: str
    """What it is, in words."""
    group: str = ""
    """Settings that belong together or exclude each other: one source says all of them."""
    free: bool = False
    """Whether the file of a folder may set it without being trusted, as it decides nothing."""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"IMAGEKIT_{self.name.upper().replace('-', '_')}"


KEYS: Final = (
    Key(name="policy", text="the policy to judge by"),
    Key(
        name="policy-key",
        text="public keys, one of which must have signed the policy",
        group="policy-signers",
    ),
    Key(
        name="policy-authority",
        text="the file of authorities, one of which must have signed the policy",
        group="policy-signers",
    ),
    Key(name="state", text="the record of which releases and versions of policies were seen"),
    Key(name="key", text="the private key to sign with: a file, or the URI of one", group="signer"),
    Key(name="keyless", text="sign as an identity, without a key", group="signer"),
    Key(name="trust-config", text="the instance of Sigstore to sign by"),
    Key(name="password-file", text="the file whose first line is the key's password"),
    Key(
        name="to", text="the destination of publish: HOST/PREFIX or oci:FOLDER", group="destination"
    ),
    Key(name="as", text="what a layout's images are named by: HOST/PREFIX", group="destination"),
    Key(name="stage-to", text="the place that stage writes to: [KIND:]PATH"),
    Key(name="builder", text="the builder that the provenance of publish names"),
    Key(name="sbom-author", text="who makes SBOMs: NAME <EMAIL or URL>"),
    Key(name="sbom-manufacturer", text="the organization that makes SBOMs: NAME <EMAIL or URL>"),
    Key(name="consumers", text="the file of who must accept an image before it is tagged"),
    Key(name="recipes", text="the folder in which recipes find each other", free=True),
    Key(name="mirrors", text="where distributions are got from: NAME=URL for each"),
    Key(name="isolation", text="how build steps are contained: auto, oci or chroot"),
    Key(name="locked", text="whether only recipes are built that a recipe.lock pins"),
    Key(name="cache-from", text="the repository that keeps locked packages"),
    Key(name="jobs", text="how many recipes are worked on at once"),
    Key(name="engine", text="what runs images: podman, docker or apptainer"),
    Key(name="plain-http", text="registries that speak HTTP without TLS"),
    Key(name="ca-file", text="certificate authorities to trust for registries, in PEM"),
    Key(name="realms", text="token servers that may see registry logins"),
)
BY_NAME: Final = {key.name: key for key in KEYS}
