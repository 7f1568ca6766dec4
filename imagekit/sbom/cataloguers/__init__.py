"""One cataloguer for each package manager and language; ``table`` has them all."""
