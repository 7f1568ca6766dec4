"""What an image needs of its node: said by recipes, signed, and compared with a node."""
