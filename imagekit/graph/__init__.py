"""Many recipes: what stands on what, in which order, and which of them changed."""
