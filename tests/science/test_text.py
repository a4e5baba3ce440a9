"""The embedded text: the same everywhere, every character predicted once, nothing of one part in another."""

import hashlib
import lzma
from collections import Counter

import numpy as np
import pytest
import torch

from rigl_nb import data
from rigl_nb.data import DataError, sources, text
from rigl_nb.spec import RECIPES

VALIDATION = RECIPES["pydoc"]["validation"]
PIN = "71f2ff5d99bdc1f9c48c5c2353ad138201c5ca1c377e0226857ef8fa89b8bcee"


@pytest.fixture(scope="module")
def parts():
    """Return train, validation and test."""
    pydoc = data.load("pydoc")
    return [*data.split(pydoc.train, VALIDATION), pydoc.test]


def test_the_copy_is_pinned_whatever_python_runs():
    """Numbers of other texts must not pass for these; the licence lies beside the file."""
    content = lzma.decompress(text.FILE.read_bytes())
    assert hashlib.sha256(content).hexdigest() == PIN
    licence = text.FILE.with_name("topics-LICENSE.txt").read_text()
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in licence and text.FILE.name in licence


def test_it_is_what_pydoc_shows():
    """Of whatever version runs: most of its paragraphs are here."""
    from pydoc_data.topics import topics

    here = set(text.text().split("\n\n"))
    theirs = set("\n\n".join(topics.values()).split("\n\n"))
    assert len(here & theirs) > 0.5 * len(here)


def test_every_paragraph_comes_once():
    paragraphs = text.text().split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 2_000


def test_the_parts_follow_one_another_and_predict_every_character_once(parts):
    """Side by side again, what is predicted is the text without its first character, and what is given lags by one."""
    symbols = text.encode(text.text())
    following = np.concatenate([part.labels.numpy().ravel() for part in parts])
    given = np.concatenate([part.pixels.numpy().ravel() for part in parts])
    n = len(following)
    assert 0 <= len(symbols) - 1 - n < text.LENGTH
    assert np.array_equal(following, symbols[1 : n + 1]) and np.array_equal(given, symbols[:n])
    assert [len(part) for part in parts] == [5034, 400, 400]


def test_hardly_anything_long_comes_twice(parts):
    """Paragraphs come once, but sentences may be alike: of 60 characters that are tested few were trained on."""
    train, test = (text.decode(part.pixels.numpy().ravel()) for part in (parts[0], parts[2]))
    seen = {train[i : i + 60] for i in range(len(train) - 59)}
    assert sum(test[i : i + 60] in seen for i in range(len(test) - 59)) < 0.01 * len(test)


def test_the_alphabet_is_of_the_training_text_alone(parts):
    counts = Counter(text.text()[: text.KNOWN])
    assert parts[0].labels.numel() >= text.KNOWN
    assert set(text.alphabet()[1:]) == {c for c, n in counts.items() if n >= 20}
    assert len(text.alphabet()) == sources.SOURCES["pydoc"].classes == max(p.labels.max() for p in parts) + 1


def test_what_has_no_symbol_shares_the_first():
    assert text.encode("aé").tolist() == [text.alphabet().index("a"), 0]
    assert text.decode(text.encode("if x:")) == "if x:"


def test_guessing_by_frequency(parts):
    """By hand: symbols 0, 0, 1 seen, plus one each; then a 0 and a 1 to predict."""
    n = len(text.alphabet()) + 3
    wanted = (np.log2(n / 3) + np.log2(n / 2)) / 2
    assert text.frequency_bits(np.array([[0, 0, 1]]), np.array([[0, 1]])) == pytest.approx(wanted)
    measured = text.frequency_bits(parts[0].labels.numpy(), parts[2].labels.numpy())
    assert sources.SOURCES["pydoc"].baseline == pytest.approx(measured, abs=5e-5)


def test_a_batch_is_symbols_without_noise(parts):
    rows, source = torch.tensor([3, 0]), sources.SOURCES["pydoc"]
    for generator in (None, torch.Generator()):
        batch = data.batch(parts[0], rows, source, generator)
        assert batch.dtype == torch.int64 and torch.equal(batch, parts[0].pixels[rows].long())


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:5000], lambda content: b"no"])
def test_a_damaged_file_is_named(damage, monkeypatch, tmp_path):
    file = tmp_path / "topics.xz"
    file.write_bytes(damage(text.FILE.read_bytes()))
    monkeypatch.setattr(text, "FILE", file)
    text.text.cache_clear()
    with pytest.raises(DataError, match=r"topics\.xz"):
        data._fresh("pydoc")
    text.text.cache_clear()


def test_another_text_is_refused(monkeypatch, tmp_path):
    file = tmp_path / "topics.xz"
    file.write_bytes(lzma.compress(text.text().replace("the", "teh").encode()))
    monkeypatch.setattr(text, "FILE", file)
    text.text.cache_clear()
    with pytest.raises(DataError, match=r"topics\.xz is damaged"):
        data._fresh("pydoc")
    text.text.cache_clear()
