"""How Sphinx makes a site of these pages: ``tox -e docs``, where every warning is an error.

The pages are read on GitHub too, so they link each other as files. What only the site has is made
while it is built: the commands from their parsers, the library from its docstrings.
"""

import argparse
import os
from collections.abc import Iterator

from docutils import nodes
from pygments.lexers import JsonLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from imagekit.cli.help import COMMANDS
from imagekit.cli.parsers import command_parser

# Help is printed for no terminal.
os.environ["COLUMNS"] = "88"

project = "imagekit"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = project
myst_heading_anchors = 4
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False


class Commands(SphinxDirective):
    """The help of every command and of its verbs, each in a section of its own."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [self._section(parser) for name in COMMANDS for parser in _parsers(name)]

    def _section(self, parser: argparse.ArgumentParser) -> nodes.Node:
        section = nodes.section(names=[parser.prog])
        section += nodes.title(text=parser.prog)
        section += nodes.literal_block(text=parser.format_help(), language="text")
        self.state.document.note_implicit_target(section, section)
        return section


def _parsers(name: str) -> Iterator[argparse.ArgumentParser]:
    command = command_parser(name)
    yield command
    yield from command.verbs().values()


def setup(app: Sphinx) -> None:
    """Add what the pages use: the directive, and a document a line."""
    app.add_directive("commands", Commands)
    app.add_lexer("jsonl", JsonLexer)
