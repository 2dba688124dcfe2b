"""Questions by their pictures: what an epoch shows, what a batch holds, and that grouping changes no loss."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from vqa_fakes import enlivened, model_yaml, vocabulary, write_questions

from rsdet import RSDet
from rsdet.data.questions.datasets import read_question_data
from rsdet.data.questions.records import Question
from rsdet.data.turns import Turns
from rsdet.tasks.loaders import pictures_to_device, shuffled_loader
from rsdet.tasks.vqa.data import directed, reader_for
from rsdet.tasks.vqa.dataset import AskedPictures, collate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_questions(tmp_path_factory.mktemp("squares"))


def made(data: Path, **settings: object) -> AskedPictures:
    asked = read_question_data(data)
    given = {"side": 64, "length": 8, "reader": reader_for(asked), **settings}
    return AskedPictures(asked.split("train").questions, asked.split("train").images, vocabulary(), **given)


def test_every_question_is_asked_once_before_any_is_asked_again(data):
    dataset = made(data, per_image=3, seed=5)  # 4 questions to a picture: 3 and 1
    for i in range(len(dataset)):
        rounds = [[dataset.asked(i + len(dataset) * (2 * r + e)) for e in (0, 1)] for r in range(4)]
        assert [[len(part) for part in parts] for parts in rounds] == [[3, 1]] * 4
        for parts in rounds:
            assert sorted(chain(*parts)) == sorted(dataset.samples[i][1])
        assert len({tuple(chain(*parts)) for parts in rounds}) > 1  # in another order each time


def test_a_picture_is_read_once_for_all_its_questions(data):
    asked, read = read_question_data(data), []
    reader = reader_for(asked)
    dataset = made(data, reader=lambda path: read.append(path) or reader(path), per_image=2)
    for _ in shuffled_loader(dataset, 3, workers=0, seed=0, collate=collate):
        pass
    assert sorted(read) == sorted(asked.split("train").images.values())


def test_an_epoch_has_another_order_and_the_same_seed_the_same(data):
    def names(seed: int) -> list[list[str]]:
        loader = shuffled_loader(made(data, per_image=2, seed=seed), 2, workers=0, seed=seed, collate=collate)
        return [[Path(f).name for batch in loader for f in batch["im_file"]] for _ in range(2)]

    first = names(1)
    assert first == names(1)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1])


def test_grouped_and_independent_questions_have_one_loss(data, tmp_path):
    model = enlivened(RSDet(model_yaml(tmp_path))).model.double()
    groups, alone = made(data), made(data, grouped=False)
    together = pictures_to_device(collate([groups[i] for i in range(3)]), torch.device("cpu"))
    apart = pictures_to_device(collate([alone[i] for i in range(12)]), torch.device("cpu"))
    assert together["counts"].tolist() == [4, 4, 4]
    assert apart["counts"].tolist() == [1] * 12
    assert torch.equal(together["tokens"], apart["tokens"])
    for batch in (together, apart):
        batch["img"] = batch["img"].double()
    losses = [model.loss(batch) for batch in (together, apart)]
    assert losses[0][0].item() == pytest.approx(losses[1][0].item(), rel=1e-12)
    assert losses[0][0].item() > 0.1


def test_turns_are_those_of_a_square_and_of_the_sample(data):
    plain, turned = made(data), made(data, turns=Turns(0.5, 0.5, 0.5), seed=3)
    seen = set()
    for index in range(0, 6 * len(plain), 1):
        a, b = plain[index]["img"].numpy(), turned[index]["img"].numpy()
        forms = [np.rot90(f, k, (1, 2)) for f in (a, a[:, :, ::-1]) for k in range(4)]
        assert any(np.array_equal(f, b) for f in forms)
        assert np.array_equal(b, turned[index]["img"].numpy())
        seen.add(next(i for i, f in enumerate(forms) if np.array_equal(f, b)))
    assert len(seen) > 4


def test_an_answer_that_was_never_trained_has_no_number(data):
    asked = read_question_data(data)
    rows = [Question("0.png", "How many red squares are there?", "17")]
    images = asked.split("train").images
    dataset = AskedPictures(rows, images, vocabulary(), side=64, length=8, reader=reader_for(asked))
    assert dataset[0]["answer"].tolist() == [-1]


def test_directions_are_found_in_the_words_unless_the_file_says_otherwise(tmp_path):
    data = write_questions(tmp_path / "d", 2, 1)
    assert not directed(read_question_data(data))
    rows = tmp_path / "d" / "train.jsonl"
    rows.write_text(rows.read_text() + '{"image": "0.png", "question": "What is in the north?", "answer": "nothing"}\n')
    assert "north" in directed(read_question_data(data))
    data.write_text(data.read_text() + "directions: false\n")
    assert not directed(read_question_data(data))
