"""From a reference and a policy to a verdict: ``imagekit verify``."""
