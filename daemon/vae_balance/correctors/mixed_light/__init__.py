"""Mixed light: a correction that also knows where, on top of the latent balancer's look."""
