"""From a recipe to an image in a local layout: ``imagekit plan``, ``imagekit build``."""
