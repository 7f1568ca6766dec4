"""imagekit: recipes to self-contained OCI images, verified before any runtime pulls them."""
