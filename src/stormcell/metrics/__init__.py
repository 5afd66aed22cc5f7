"""Scores against truth and between images."""
