"""The policy language: its types, its files, and remarks on them."""
