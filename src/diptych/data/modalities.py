"""The kinds of input that are read, by name."""

from diptych.data import pictures, rows, sounds
from diptych.data.raw import Kind
from diptych.data.reading import Modality

MODALITIES: dict[Kind, Modality] = {
    "image": Modality(noun="pictures", learn=pictures.learn, decode=pictures.decode),
    "audio": Modality(noun="sounds", learn=sounds.learn, decode=sounds.decode),
    "table": Modality(noun="rows", learn=rows.learn, decode=rows.decode),
}
