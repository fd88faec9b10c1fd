"""The bundled plugins, one idea a file; found through the same discovery as a user's own."""
