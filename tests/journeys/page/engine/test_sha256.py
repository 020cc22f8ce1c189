"""Our SHA-256 for browsers, beside hashlib's."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from tests.journeys.page.browser import Visit

pytestmark = [pytest.mark.journey, pytest.mark.browser]

DIGEST = """async ({data, cuts}) => {
    const { Sha256 } = await import("/static/uploads/js/sha256.js");
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const hash = new Sha256();
    let before = 0;
    for (const cut of [...cuts, bytes.length]) {
        hash.update(bytes.subarray(before, cut));
        before = cut;
    }
    return hash.hex();
}"""


def test_digests_equal_those_of_hashlib_whatever_the_length_and_the_pieces(visit: Visit) -> None:
    chance = random.Random(8)
    sizes = [*range(130), 1000, 4095, 4096, 65_537, 1 << 20]
    for size in sizes:
        data = chance.randbytes(size)
        cuts = sorted(chance.randrange(size + 1) for _ in range(chance.randrange(4)))
        found = visit.page.evaluate(DIGEST, {"data": base64.b64encode(data).decode(), "cuts": cuts})
        assert found == hashlib.sha256(data).hexdigest(), (size, cuts)


def test_lengths_beyond_what_32_bits_hold_are_counted_right(visit: Visit) -> None:
    sizes = [0, 1, (1 << 29) - 1, 1 << 29, (1 << 32) + 5, (40 << 30) + 7, (1 << 53) - 1]
    found = visit.page.evaluate(
        """async (sizes) => {
            const { bits } = await import("/static/uploads/js/sha256.js");
            return sizes.map((size) => bits(size));
        }""",
        sizes,
    )
    assert found == [list(divmod(size * 8, 1 << 32)) for size in sizes]
