"""`python -m vae_balance` is `vae-balance`."""

from vae_balance.cli import main

main()
