"""Images on their way to where no registry is: what belongs to one, and copying all of it."""
