"""What the data tests share: small pictures, and folders and tables of them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Tree = Callable[..., Path]


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """Give the maker of a picture's file: noise of a size, in colour unless told."""

    def make(seed: int, height: int = 8, width: int = 8, *, grey: bool = False) -> bytes:
        shape = (height, width) if grey else (height, width, 3)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        stream = BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    return make


@pytest.fixture
def tree(tmp_path: Path, picture: Callable[..., bytes]) -> Tree:
    """Give the maker of class folders: how many different pictures lie in each folder."""
    made = iter(range(1_000_000))

    def make(counts: dict[str, int], **options: object) -> Path:
        root = tmp_path / "tree"
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                content = picture(next(made), **options)
                (root / folder / f"{number:03}.png").write_bytes(content)
        return root

    return make
