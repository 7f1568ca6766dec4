"""Documents that others write: strict JSON and YAML, with the place of every fault."""
