"""White balance by a variational autoencoder that sees the whole photo as 128 numbers."""
