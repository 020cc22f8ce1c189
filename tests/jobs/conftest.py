from __future__ import annotations

import io

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def png() -> bytes:
    """A small picture that does not compress to nothing, so that half of it is half a picture."""
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
