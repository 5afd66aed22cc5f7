"""Structures, blinking and acquisition: movies with truth."""
