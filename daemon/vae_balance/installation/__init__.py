"""What is installed where: for the installer, `vae-balance doctor` and `vae-balance service`.

Standard library only, and Python 3.8 or later: the installer runs it before there is anything else.
"""
