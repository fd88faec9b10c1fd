"""Read messages by their facts: the names, numbers and commands in them, whatever the wording."""

from __future__ import annotations

import re

from headwater import Flaw


def missing_facts(text: str, *facts: object) -> list[str]:
    """Return the facts that a text does not name as words of their own: 3 is not in 30.

    Args:
        text: A message, a note or what a command printed.
        facts: Names, numbers, commands, or a few words that tell one cause from another.
    """
    words = [str(fact) for fact in facts]
    return [word for word in words if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]


def flaw_facts(flaw: Flaw) -> tuple[str, str, str]:
    """Return a flaw's image, what is wrong by its code and figures, and how it was handled.

    Example:
        ``("b.jpg", "box-of-no-category 1 (fox)", "left out")``; an action that takes the whole
        image along ends with ``+ image``.
    """
    figures = "".join(f" {number}" for number in flaw.numbers)
    items = f" ({', '.join(flaw.items)})" if flaw.items else ""
    action, _, image_too = flaw.handled.partition(",")
    handled = f"{action} + image" if image_too else action
    return flaw.name, f"{flaw.code or flaw.what}{figures}{items}", handled
