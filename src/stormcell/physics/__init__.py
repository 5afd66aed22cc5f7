"""Light, optics and cameras: PSFs, noise, Cramer-Rao bounds."""
