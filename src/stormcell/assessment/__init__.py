"""How far to trust a picture: SQUIRREL, resolution, artefact classes."""
