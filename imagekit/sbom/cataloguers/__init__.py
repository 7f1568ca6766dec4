"""One cataloguer for each package manager and language; ``all_cataloguers`` lists them."""
