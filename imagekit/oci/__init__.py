"""Images as the OCI image specification has them, and the registries and layouts where they lie."""
