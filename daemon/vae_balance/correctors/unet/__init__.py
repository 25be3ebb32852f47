"""A U-Net on pixels: the direct way, beside which the latent one is measured."""
