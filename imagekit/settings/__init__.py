"""What is typed on every call, written down once: ``imagekit.toml`` and IMAGEKIT_* variables."""
