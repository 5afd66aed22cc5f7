"""Shifts between images, to a fraction of a pixel."""
