"""The nouns: frozen values without I/O, that everything else speaks in."""
