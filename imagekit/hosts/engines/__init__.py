"""Engines that ask the gate and nobody else: imagekit trust."""
