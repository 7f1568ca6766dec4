"""What an image is made of: ``imagekit sbom``."""
