"""What the gate decides of an image, and for how long that holds."""
