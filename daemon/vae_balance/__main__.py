"""`python -m vae_balance` is `vae-balance`."""

from vae_balance.cli import main

if __name__ == "__main__":  # not in processes that are started from this one
    main()
