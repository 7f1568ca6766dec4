"""What people and strangers write: strict JSON and YAML, with the place of every fault."""
