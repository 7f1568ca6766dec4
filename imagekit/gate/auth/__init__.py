"""Who asks the gate, and which repositories they may see."""
