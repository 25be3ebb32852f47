"""The subcommands of `vae-balance`, one a file, and what they share."""
