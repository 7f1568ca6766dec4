"""Known vulnerabilities of an image: found by its SBOM, attested, and listed for a registry."""
