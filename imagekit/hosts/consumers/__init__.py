"""What a publisher asks before a tag is written: other programs, a gate, a node's policy."""
