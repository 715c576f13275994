"""What a section of the page is: what one family of metrics tells of the methods.

A new one is a function of a run in a file of its own, and a line in `page.SECTIONS`.
"""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup


class Section(NamedTuple):
    """A section of the page.

    Attributes
    ----------
    id : str
        Of the link that leads to it.
    title : str
    html : Markup
        What stands below the title; text of names and values must be escaped (`markupsafe.escape`,
        or `Markup("<p>{}</p>").format(text)`).
    """

    id: str
    title: str
    html: Markup
