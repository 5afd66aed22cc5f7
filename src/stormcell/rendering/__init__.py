"""Tables drawn as images, images drawn as pictures and reports."""
