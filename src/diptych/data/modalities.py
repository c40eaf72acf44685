"""The kinds of input that are read, by name."""

from diptych.data import pictures, rows, sounds, texts
from diptych.data.raw import Kind
from diptych.data.reading import Modality

MODALITIES: dict[Kind, Modality] = {
    "image": Modality(noun="pictures", learn=pictures.learn, decode=pictures.decode),
    "audio": Modality(noun="sounds", learn=sounds.learn, decode=sounds.decode),
    "text": Modality(noun="texts", learn=texts.learn, decode=texts.decode),
    "table": Modality(noun="rows", learn=rows.learn, decode=rows.decode),
}
