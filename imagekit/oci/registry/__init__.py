"""The registry protocol, its client, and what carries its bytes."""
