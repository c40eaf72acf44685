"""How the numbers of a file's column are written, told by all of its cells as in training."""

import re

from diptych.core.specs import Notation
from diptych.data.notation import POINT, WAYS, in_order
from diptych.tasks.table import NUMBER

PLAIN = re.compile(NUMBER)
PATTERNS = {name: re.compile(way.pattern) for name, way in WAYS.items()}


class Numerals:
    """What the cells of a column, looked at one after another, agree on.

    Args:
        decimal_comma: Whether ``1,234`` is below two where no other cell tells.
        known: How the training data wrote them: it counts where all cells can be so.
    """

    def __init__(self, *, decimal_comma: bool, known: Notation = POINT) -> None:
        self.order = in_order(decimal_comma=decimal_comma)
        self.known = known
        self.left, self.needed = self.order, False

    def look(self, cell: str) -> None:
        """Leave those ways to write in which a cell is a number.

        Args:
            cell: Any cell; one that is a number in no way tells nothing.
        """
        word = cell.strip()
        plain = PLAIN.fullmatch(word) is not None
        fitting = _fitting(self.order, word)
        self.needed |= bool(fitting) and not plain
        if plain:
            fitting += [name for name in self.order if not _removes(name, word)]
        if fitting:
            self.left = [name for name in self.left if name in fitting]

    def plain(self, cell: str) -> str:
        """Write a number with a point for decimals and nothing between thousands.

        Args:
            cell: Any cell of the column.

        Returns:
            The number; the cell itself where it is none, or needs no change.
        """
        word = cell.strip()
        if self.known in self.left:
            return WAYS[self.known].plain(word) if _fitting([self.known], word) else cell
        ways = _fitting(self.left or self.order, word)
        if not self.needed or not ways or (not self.left and PLAIN.fullmatch(word)):
            return cell
        return WAYS[ways[0]].plain(word)


def _removes(name: Notation, word: str) -> bool:
    removed = WAYS[name].removed
    return bool(removed) and removed in word


def _fitting(names: list[Notation], word: str) -> list[Notation]:
    return [name for name in names if PATTERNS[name].match(word)]
