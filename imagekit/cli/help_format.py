"""How the help of a command is laid out: prose as wide as the terminal, examples line by line."""

import argparse

from imagekit.cli.wrap import reflowed


class HelpFormat(argparse.HelpFormatter):
    """Lays out a description of paragraphs and examples, which are the indented lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        del indent
        return reflowed(text, width)
