"""Training: what is learnt, what travels with weights, and what becomes of weights for other words and answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from vqa_fakes import TRAIN, enlivened, model_yaml, vocabulary, write_questions

from rsdet import RSDet
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.errors import ConfigError, RSDetError
from rsdet.tasks.vqa.dataset import collate
from rsdet.tasks.vqa.model import VqaModel
from rsdet.tasks.vqa.transfer import transfer_words


def test_the_network_of_the_paper_builds_without_data():
    model = RSDet("acr-r50.yaml")
    assert sum(p.numel() for p in model.model.parameters()) == 47_820_499
    assert model.model.vocabulary is None
    assert model.model.network.question.embedding.num_embeddings == 75  # 73 words, the pad and the unknown word
    assert model.model(torch.zeros(1, 3, 64, 64)).shape == (1, 166)


def test_pictures_are_normalised_inside(tmp_path):
    model = enlivened(RSDet(model_yaml(tmp_path))).model
    x = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    plain = model.network.encode_image((x - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(model.encode_image(x), plain)


def test_eight_pictures_are_learnt_by_heart(tmp_path):
    data = write_questions(tmp_path / "d", 8, 4)
    data.write_text(data.read_text().replace("val.jsonl", "train.jsonl"))
    model = RSDet(model_yaml(tmp_path, dropout=0.0))
    quiet = {"project": str(tmp_path), "name": "run", "verbose": False, "val": False, "save": False}
    still = {"fliplr": 0.0, "flipud": 0.0, "rot90": 0.0, "poly": 0.0, "warmup_epochs": 0.0}
    whole = {"batch": 32, "questions_per_image": 0, "epochs": 60, "lr0": 3e-3}
    model.train(data=data, **{**TRAIN, **quiet, **still, **whole})
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())
    by_model = {row["model"]: row["accuracy"] for row in scores["groups"] if row["group"] == "all"}
    assert by_model["model"] > 0.9
    assert by_model["model"] > max(v for k, v in by_model.items() if k != "model") + 0.1
    assert {"most frequent", "per question", "question only", "image only"} < by_model.keys()
    assert scores["router_accuracy"] == 1.0


@pytest.mark.parametrize("blind", ["image", "question"])
def test_what_a_network_is_blind_for_changes_nothing(tmp_path, blind):
    shown = RSDet(model_yaml(tmp_path)).model
    model = VqaModel({**shown.yaml, "blind": blind})
    model.load_state_dict(enlivened(RSDet(model_yaml(tmp_path))).model.state_dict())
    model.eval()
    x, tokens = torch.rand(2, 3, 64, 64), torch.tensor([[2, 3, 0, 0], [4, 5, 6, 0]])
    said = [model.answer(model.encode_image(x[[i, i]]), tokens).logits for i in (0, 1)]
    alike_images = torch.equal(said[0], said[1])
    alike_questions = torch.allclose(said[0][0], said[0][1], atol=1e-6)
    assert (alike_images, alike_questions) == ((True, False) if blind == "image" else (False, True))


def test_words_and_answers_go_over_by_name(tmp_path):
    old = enlivened(RSDet(model_yaml(tmp_path))).model
    rows = [
        Question("a", "How many red triangles are there?", "3"),
        Question("a", "How many red triangles are there?", "many"),
        Question("a", "Is there a square?", "yes"),
        Question("a", "Is there a square?", "no"),
    ]
    known = Vocabulary.of(rows)
    new = VqaModel({**old.yaml, "vocabulary": known.as_dict()})
    before = new.state_dict()["model.0.question.embedding.weight"].clone()
    told = transfer_words(new, old)
    vectors, theirs = (m.state_dict()["model.0.question.embedding.weight"] for m in (new, old))
    first = vocabulary()
    assert "red" in known.words
    for word in known.words:
        i = known.words.index(word) + 2
        if word in first.words:
            assert torch.equal(vectors[i], theirs[first.words.index(word) + 2]), word
        else:
            assert torch.equal(vectors[i], before[i]), word
    for name in ("model.0.classifiers.0.2.weight", "model.0.classifiers.1.2.bias"):
        mine, source = new.state_dict()[name], old.state_dict()[name]
        for answer in ("3", "yes", "no"):
            assert torch.equal(mine[known.answers.index(answer)], source[first.answers.index(answer)])
    assert "triangles" not in first.words
    assert f"{len(set(first.words) & set(known.words))} of {len(known.words)} words and 3 of 4 answers" in told


def test_a_copy_and_weights_of_every_form_keep_the_vocabulary(tmp_path):
    model = enlivened(RSDet(model_yaml(tmp_path)))
    model.save(str(tmp_path / "w.pt"))
    for file in (tmp_path / "w.pt", model.save_plain(tmp_path / "w.safetensors")):
        again = RSDet(file).model
        assert again.vocabulary == model.model.vocabulary == vocabulary()


@pytest.mark.parametrize("spoiled", ["other", "none"])
def test_the_vocabulary_of_other_weights_is_refused_in_one_line(tmp_path, spoiled):
    model = enlivened(RSDet(model_yaml(tmp_path)))
    few = {"words": ["a"], "answers": ["b"], "closed": [], "asked": []}
    model.model.yaml["vocabulary"] = few if spoiled == "other" else {"words": 3}
    model.save(str(tmp_path / "w.pt"))
    with pytest.raises(RSDetError, match="vocabulary") as e:
        RSDet(tmp_path / "w.pt")
    assert "\n" not in str(e.value)


def test_a_loss_without_a_true_answer_is_finite_and_learns_the_type_alone(tmp_path):
    model = enlivened(RSDet(model_yaml(tmp_path))).model
    batch = {
        "img": torch.rand(1, 3, 64, 64), "counts": torch.tensor([2]), "tokens": torch.tensor([[2, 3], [4, 0]]),
        "answer": torch.tensor([-1, -1]), "closed": torch.tensor([True, False]),
    }  # fmt: skip
    total, parts = model.loss(batch)
    assert torch.isfinite(total)
    assert parts["answer_loss"] == 0
    assert total.item() == pytest.approx(float(parts["type_loss"]))


@pytest.mark.parametrize(
    ("key", "value"),
    [("questions_per_image", -1), ("blind", "ears"), ("poly", -1), ("rot90", 2), ("batch", 0.5), ("cache", "disk")],
)
def test_settings_out_of_range_are_refused_in_one_line(tmp_path, key, value):
    with pytest.raises(ConfigError, match=key) as e:
        RSDet(model_yaml(tmp_path)).train(data=tmp_path / "none.yaml", project=str(tmp_path), **{key: value})
    assert "\n" not in str(e.value)


def test_a_resumed_training_ends_as_one_that_was_not_stopped(tmp_path):
    data, yaml = write_questions(tmp_path / "d", 6, 2), model_yaml(tmp_path)
    settings = {**TRAIN, "data": data, "project": str(tmp_path), "verbose": False, "questions_per_image": 2}

    class Stop(Exception):
        pass

    def stop(trainer: object) -> None:
        if trainer.epoch == 1:
            raise Stop

    broken = RSDet(yaml)
    RSDet(yaml).train(epochs=3, name="whole", **settings)
    broken.add_callback("on_train_epoch_end", stop)
    with pytest.raises(Stop):
        broken.train(epochs=3, name="broken", **settings)
    RSDet(tmp_path / "broken" / "weights" / "last.pt").train(resume=True)
    tables = [(tmp_path / name / "results.csv").read_text().splitlines() for name in ("whole", "broken")]
    rows = [[[float(v) for v in line.split(",")[2:]] for line in table[1:]] for table in tables]
    assert len(rows[0]) == 3
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-3, atol=1e-5)


def test_words_start_from_the_users_vectors(tmp_path):
    data, seen = write_questions(tmp_path / "d", 4, 2), {}
    width = 32
    lines = [
        f"{word} {' '.join(str(float(i)) for _ in range(width))}" for i, word in enumerate(("red", "blue", "sea"), 1)
    ]
    (tmp_path / "vectors.txt").write_text("\n".join(lines) + "\n")
    model = RSDet(model_yaml(tmp_path))
    model.add_callback("on_train_start", lambda trainer: seen.update(trainer.model.state_dict()))
    settings = {**TRAIN, "epochs": 1, "project": str(tmp_path), "verbose": False}
    model.train(data=data, word_vectors=str(tmp_path / "vectors.txt"), warmup_epochs=0.0, **settings)
    vectors, words = seen["model.0.question.embedding.weight"], model.model.vocabulary.words
    rows = {word: vectors[words.index(word) + 2].numpy() for word in ("red", "blue", "many")}
    assert np.ptp(rows["red"]) < np.ptp(rows["many"])  # all its numbers are alike in the file
    assert np.abs(rows["blue"]).mean() > np.abs(rows["red"]).mean()


def test_collate_keeps_the_order_of_questions():
    samples = [
        {
            "img": torch.zeros(3, 2, 2, dtype=torch.uint8), "tokens": torch.full((n, 4), n), "answer": torch.arange(n),
            "closed": torch.zeros(n, dtype=torch.bool), "index": torch.arange(n) + 10 * n, "im_file": str(Path("x")),
        }
        for n in (1, 3)
    ]  # fmt: skip
    batch = collate(samples)
    assert batch["counts"].tolist() == [1, 3]
    assert batch["index"].tolist() == [10, 30, 31, 32]
    assert batch["tokens"][:, 0].tolist() == [1, 3, 3, 3]
