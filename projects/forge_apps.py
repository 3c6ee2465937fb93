"""Forge apps as rows, and what of a row the forge's door takes."""

from projects.forge import App
from projects.models import ForgeApp


def app_of(row: ForgeApp) -> App:
    """The app of a row."""
    return App(
        org_id=row.org_id,
        api_url=row.api_url,
        git_url=row.git_url,
        client_id=row.client_id,
        installation=row.installation,
        key_arn=row.key_arn,
    )
