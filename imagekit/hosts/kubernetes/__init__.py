"""Kubernetes: the validating webhook."""
