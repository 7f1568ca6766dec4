"""Blobs: from where they come, the cache that they go into, and how they are sent."""
