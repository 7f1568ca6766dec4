"""Hosts that cannot be fooled: the files by which engines ask the gate and nobody else."""

from imagekit.trust.plan import Plan, plan

__all__ = ["Plan", "plan"]
