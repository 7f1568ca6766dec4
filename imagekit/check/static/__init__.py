"""Whether an image is self-contained and portable, by its files alone: nothing of it is run."""
