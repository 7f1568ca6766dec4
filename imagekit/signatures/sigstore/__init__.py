"""Signing and verifying by sigstore-python; nothing else imports that library."""
