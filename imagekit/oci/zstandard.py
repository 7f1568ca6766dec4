"""Zstandard (RFC 8878): that of Python 3.14's standard library, or the same for older ones."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
