"""The whole table."""

from tests.e2e.differential.table_bundle import BUNDLE_CASES
from tests.e2e.differential.table_certificate import CERTIFICATE_CASES
from tests.e2e.differential.table_fulcio import FULCIO_CASES
from tests.e2e.differential.table_hidden import HIDDEN_CASES
from tests.e2e.differential.table_image import IMAGE_CASES
from tests.e2e.differential.table_keyless import KEYLESS_CASES
from tests.e2e.differential.table_legacy import LEGACY_CASES
from tests.e2e.differential.table_manifests import MANIFESTS_CASES

CASES = (
    *IMAGE_CASES,
    *MANIFESTS_CASES,
    *HIDDEN_CASES,
    *BUNDLE_CASES,
    *LEGACY_CASES,
    *KEYLESS_CASES,
    *FULCIO_CASES,
    *CERTIFICATE_CASES,
)
