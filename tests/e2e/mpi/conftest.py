"""The site and the programs of the tests of hosts."""

from tests.e2e.hosts.conftest import program, site

__all__ = ["program", "site"]
