"""`python -m envforge_protocol.contract schema|table`: print the JSON Schema, or the fields as a Markdown table.

`--write FILE` puts it there instead: the schema as the whole file, the table between the file's two markers.
"""

import argparse
from pathlib import Path

from envforge_protocol.contract.schema import json_schema_text, table

BEGIN, END = "<!-- fields: generated -->\n", "<!-- /fields -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m envforge_protocol.contract")
    parser.add_argument("what", choices=("schema", "table"))
    parser.add_argument("--write", metavar="FILE", type=Path)
    given = parser.parse_args()
    text = json_schema_text() if given.what == "schema" else table()
    if given.write is None:
        print(text, end="")
    else:
        given.write.write_text(text if given.what == "schema" else with_table(given.write.read_text(), text))


def with_table(document: str, made: str) -> str:
    """The document with the table between its markers."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{made}{END}{after}"


if __name__ == "__main__":
    main()
