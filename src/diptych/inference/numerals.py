"""How the numbers of a file's column are written, told by all of its cells as in training."""

import re

from diptych.data.notation import notations
from diptych.tasks.table import NUMBER

PLAIN = re.compile(NUMBER)


class Numerals:
    """What the cells of a column, looked at one after another, agree on.

    Args:
        decimal_comma: Whether ``1,234`` is below two where no other cell tells.
    """

    def __init__(self, *, decimal_comma: bool) -> None:
        self.known = [(re.compile(each[0]), *each[1:]) for each in notations(decimal_comma)]
        self.left, self.needed = self.known, False

    def look(self, cell: str) -> None:
        """Leave those ways to write in which a cell is a number.

        Args:
            cell: Any cell; one that is a number in no way tells nothing.
        """
        word = cell.strip()
        plain = PLAIN.fullmatch(word) is not None
        fitting = [way for way in self.known if way[0].match(word)]
        self.needed |= bool(fitting) and not plain
        if plain:
            fitting += [way for way in self.known if not way[1] or way[1] not in word]
        if fitting:
            self.left = [way for way in self.left if way in fitting]

    def plain(self, cell: str) -> str:
        """Write a number with a point for decimals and nothing between thousands.

        Args:
            cell: Any cell of the column.

        Returns:
            The number; the cell itself where it is none, or needs no change.
        """
        word = cell.strip()
        ways = [way for way in self.left or self.known if way[0].match(word)]
        if not self.needed or not ways or (not self.left and PLAIN.fullmatch(word)):
            return cell
        _, removed, comma = ways[0]
        word = word.replace(removed, "") if removed else word
        return word.replace(",", ".") if comma else word
