"""An OpenPGP key that GnuPG made for tests."""

import base64

ARMORED = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEaw20MxYJKwYBBAHaRw8BAQdAZtgWiQ1Sot2ktjMH0hFYhoA7lBNjIZ7UrDfn
76W2LxK0I1JlcG9zaXRvcnkgPHJlcG9zaXRvcnlAZXhhbXBsZS5vcmc+iJAEExYI
ADgWIQS1WJYbjHDiKnpHBjlCouJ7ShRtoQUCaw20MwIbAwULCQgHAgYVCgkICwIE
FgIDAQIeAQIXgAAKCRBCouJ7ShRtoSsCAP9kwfocqX6ktCnvnWFn8cC2zInhrfxh
SCRXbYLenTfh/wD/f7e+RZmrnWIst3DchUWquN85oD7PfDr7D0m9PBVa+QU=
=Ru58
-----END PGP PUBLIC KEY BLOCK-----
"""
PACKETS = base64.b64decode("".join(ARMORED.splitlines()[2:-2]))
