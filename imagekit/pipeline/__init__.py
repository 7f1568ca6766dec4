"""Composition: makes the adapters, when they are needed, and chains the stages."""
