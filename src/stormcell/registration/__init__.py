"""Bring two images of the same field together."""

from stormcell.registration.shift import RegistrationError, Shift, estimate_shift, shift_image

__all__ = ["RegistrationError", "Shift", "estimate_shift", "shift_image"]
