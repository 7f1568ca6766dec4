"""Images for places without a registry: exported files, and images staged for nodes."""
