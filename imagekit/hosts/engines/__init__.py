"""Engines that pull from the gate only: imagekit trust."""
