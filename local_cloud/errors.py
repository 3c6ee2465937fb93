"""What a person is told when the local cloud cannot go on."""


class LocalCloudError(Exception):
    """Says what is wrong and what to do next; shown as it is, without a stack trace."""
