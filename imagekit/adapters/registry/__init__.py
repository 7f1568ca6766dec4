"""Registries over the network: one client, and two transports that carry its bytes.

``light`` starts in milliseconds and serves whoever only reads; ``oras`` writes.
``imagekit.pipeline.registries`` chooses.
"""
