"""Bytes to values and back, pure: no files, no network, no clock."""
