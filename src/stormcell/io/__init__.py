"""Files in and out: movies, tables, images; every format converts to our units and origin here."""
