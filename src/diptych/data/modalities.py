"""The kinds of input that are read, by name."""

from diptych.data import pictures, rows
from diptych.data.raw import Kind
from diptych.data.reading import Modality

MODALITIES: dict[Kind, Modality] = {
    "image": Modality(noun="pictures", learn=pictures.learn, decode=pictures.decode),
    "table": Modality(noun="rows", learn=rows.learn, decode=rows.decode),
}
