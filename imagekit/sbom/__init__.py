"""What an image is made of: from the files of its layers to one value, without I/O."""
