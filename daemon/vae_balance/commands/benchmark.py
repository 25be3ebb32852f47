import click


@click.command()
def benchmark() -> None:
    """Print the speed table."""
