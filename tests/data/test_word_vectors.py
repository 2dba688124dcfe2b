"""Word vectors of another training: files in the wild, and what is made of them for a network of any width."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsdet.data.questions.word_vectors import read_word_vectors
from rsdet.errors import DataError
from rsdet.nn.acr import ACR
from rsdet.nn.question_encoder import fitted

GLOVE = "the 0.1 0.2 -3e-1\nship 1 2 3\nShips 4 5 6\nrivière 7 8 9\n. . . 0 0 0\nUS 1 1 1\nus 2 2 2\n"


def written(tmp_path, text: str | bytes):
    path = tmp_path / "vectors.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("head", ["", "7 3\n", "\ufeff"])
def test_glove_and_fasttext(tmp_path, head):
    path = written(tmp_path, head + GLOVE.replace("\n", " \r\n"))
    got = read_word_vectors(path, ["the", "ships", "rivière", "plane", "us"])
    assert {k: v.tolist() for k, v in got.items()} == {
        "the": pytest.approx([0.1, 0.2, -0.3]), "ships": [4, 5, 6], "rivière": [7, 8, 9], "us": [2, 2, 2],
    }  # fmt: skip


def test_a_word_that_is_a_number_is_not_taken_for_the_first_line(tmp_path):
    got = read_word_vectors(written(tmp_path, "7 3\n7 1 2 3\n3 4 5 6\n"), ["7", "3"])
    assert got["7"].tolist() == [1, 2, 3]


def test_what_no_question_asks_for_is_not_read(tmp_path):
    path = written(tmp_path, b"\xff\xfe broken\nbroken line\nship 1 2\n")
    assert list(read_word_vectors(path, ["ship"])) == ["ship"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "none of 1 words"), ("plane 1 2\n", "none of 1 words"), ("ship 1 x\n", "line 1"), ("ship\n", "numbers"),
        ("a 1 2\nship nan 2\n", "line 2"), ("ship 1\n", "cannot be used"), (b"\x80\x02" * 99, "none of"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as e:
        read_word_vectors(written(tmp_path, text), ["ship"])
    assert "\n" not in str(e.value)


def test_vectors_of_different_lengths_and_no_file(tmp_path):
    with pytest.raises(DataError, match=r"\[2, 3\]"):
        read_word_vectors(written(tmp_path, "ship 1 2\nplane 1 2 3\n"), ["ship", "plane"])
    with pytest.raises(DataError, match="cannot be read"):
        read_word_vectors(tmp_path, ["ship"])


@pytest.mark.parametrize(("n", "width", "dim"), [(5, 300, 16), (40, 8, 16), (40, 16, 16)])
def test_products_of_vectors_stay(n, width, dim):
    vectors = np.random.default_rng(0).standard_normal((n, width))
    got = fitted(vectors, dim)
    assert got.shape == (n, dim)
    factor = np.trace(got @ got.T) / np.trace(vectors @ vectors.T)
    assert np.allclose(got @ got.T, factor * vectors @ vectors.T)
    assert np.square(got).mean() == pytest.approx(1)


def test_the_principal_directions_are_kept():
    rng = np.random.default_rng(0)
    vectors = np.concatenate((rng.standard_normal((40, 4)), 1e-3 * rng.standard_normal((40, 20))), 1)
    got = fitted(vectors, 4)
    want = vectors[:, :4] @ vectors[:, :4].T
    assert np.allclose(got @ got.T * np.trace(want) / np.trace(got @ got.T), want, atol=1e-2)
    assert np.isfinite(fitted(np.zeros((3, 5)), 4)).all()


def test_a_network_starts_from_them():
    torch.manual_seed(0)
    net = ACR(depths=(1,) * 4, width=16, block="basic", dim=16, heads=2, layers=1, encoder_layers=1, tokens=6)
    before = net.question.embedding.weight.detach().clone()
    vectors = {2: np.array([1.0, 0, 0]), 5: np.array([1.0, 1, 0]), 3: np.array([0.0, 0, 2])}
    net.load_words(vectors)
    after = net.question.embedding.weight.detach()
    assert torch.equal(after[[0, 1, 4, 6]], before[[0, 1, 4, 6]])
    cos = torch.nn.functional.cosine_similarity
    assert cos(after[2], after[5], 0) == pytest.approx(0.5**0.5, abs=1e-5)
    assert cos(after[2], after[3], 0) == pytest.approx(0, abs=1e-5)
    assert after.requires_grad is False
    assert net.question.embedding.weight.requires_grad
