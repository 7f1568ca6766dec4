"""Building a published image once more, and proving that it is the same: ``imagekit rebuild``."""
