"""Biological structures and test patterns: where labels can bind."""
