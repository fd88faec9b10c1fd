"""The bundled analyses of trained networks, one a file."""
