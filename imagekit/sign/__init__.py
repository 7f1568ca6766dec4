"""Signatures and attestations in both forms: ``imagekit sign``."""
