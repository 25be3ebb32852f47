"""What `vae-balance doctor` looks at: a module for each part, lines that are green or red."""
