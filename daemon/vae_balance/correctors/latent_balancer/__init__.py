"""A VAE and a latent balancer: the corrector that the project started with."""
