"""Conditions read from a movie."""
