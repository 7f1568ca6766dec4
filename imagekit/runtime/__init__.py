"""What a host can do, and running verified images: ``imagekit doctor``, ``imagekit run``."""
