"""To a registry, tags last: ``imagekit publish``."""
