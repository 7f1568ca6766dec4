"""Signatures and attestations: their forms, whose they may be, and what verifies them."""
