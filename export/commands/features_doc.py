"""`python -m export features-doc`."""

import click


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail when the tables are old.")
def command(check: bool) -> None:
    """Write the tables of docs/features.md from the code.

    Example: python -m export features-doc --check
    """
    from export.bundles.features_doc import DOC, refreshed

    text = DOC.read_text()
    fresh = refreshed(text)
    if check and fresh != text:
        raise click.ClickException("docs/features.md is old: run python -m export features-doc")
    DOC.write_text(fresh)
