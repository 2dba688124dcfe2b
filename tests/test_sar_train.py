"""The box loss of a training, its running mean through checkpoint, resume, accumulation and processes, class rows."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from conftest import TINY, TRAIN

from rsdet import RSDet
from rsdet.errors import ConfigError
from rsdet.losses.criteria import RTDETRBoxCriterion, YOLOBoxLoss
from rsdet.losses.running_mean import RunningMean
from rsdet.modelyaml import load_model_yaml
from rsdet.tasks.detect.model import build
from rsdet.tasks.detect.train import YOLOTrain
from rsdet.tasks.training import SafeTrainer

SMALL = {"scales": {"n": [0.33, 0.125, 1024]}}  # half as wide as n


def small(name: str = "sar-ship.yaml", nc: int = 4, **more) -> dict:
    return {**load_model_yaml(name), **SMALL, "nc": nc, **more}


@pytest.fixture
def small_yaml(tmp_path: Path) -> Path:
    import yaml

    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small()))
    return path


def batch_of(n: int = 2, size: int = 64, objects: int = 3, seed: int = 0) -> dict:
    g = torch.Generator().manual_seed(seed)
    boxes = torch.cat([torch.rand(n * objects, 2, generator=g) * 0.6 + 0.2, torch.full((n * objects, 2), 0.3)], 1)
    return {
        "img": torch.rand(n, 3, size, size, generator=g),
        "batch_idx": torch.arange(n).repeat_interleave(objects).float(),
        "cls": torch.zeros(n * objects, 1),
        "bboxes": boxes,
    }


def ready(model: torch.nn.Module) -> torch.nn.Module:
    from ultralytics.utils import DEFAULT_CFG

    model.args = DEFAULT_CFG
    return model.train()


def stopped_run(model: RSDet, data: Path, project: Path, epochs: int, stop_after: int, **settings) -> Path:
    """Train and stop after some epochs, as a killed process leaves it."""

    def stop(trainer):
        if trainer.epoch + 1 == stop_after:
            raise KeyboardInterrupt

    model.add_callback("on_model_save", stop)
    with pytest.raises(KeyboardInterrupt):
        model.train(data=data, epochs=epochs, project=str(project), name="stopped", **TRAIN, **settings)
    return project / "stopped" / "weights" / "last.pt"


@pytest.mark.parametrize("name", ["ciou", "giou", "siou", "nwd", "wiou-v1", "wiou-v2", "wiou-v3"])
def test_every_loss_trains_the_yolo_and_the_rtdetr_family(name):
    for model in (
        ready(build(small(iou_loss=name))),
        ready(build({**load_model_yaml("vmc-detr-demo.yaml", None, TINY), "iou_loss": name, "nc": 4})),
    ):
        loss, items = model.loss(batch_of())
        loss.sum().backward()
        assert all(v.isfinite() for v in items.values())
        assert sum(float(p.grad.abs().sum()) for p in model.model[-1].parameters() if p.grad is not None) > 0


def test_ciou_by_name_is_ultralytics_own_loss():
    torch.manual_seed(0)
    named = ready(build(small(iou_loss="ciou")))
    stock = ready(build(small(iou_loss=None)))
    stock.load_state_dict(named.state_dict())
    torch.testing.assert_close(named.loss(batch_of())[0], stock.loss(batch_of())[0])


def test_giou_by_name_is_rtdetrs_own_loss():
    torch.manual_seed(0)
    d = load_model_yaml("vmc-detr-demo.yaml", None, TINY)
    named, stock = ready(build({**d, "iou_loss": "giou"})), ready(build(d))
    stock.load_state_dict(named.state_dict())
    assert isinstance(named.init_criterion(), RTDETRBoxCriterion)
    losses = []
    for model in (named, stock):
        torch.manual_seed(1)  # the denoising queries are drawn
        losses.append(model.loss(batch_of())[0])
    torch.testing.assert_close(losses[0], losses[1])


def test_the_argument_wins_over_the_yaml(tiny_data, tmp_path, small_yaml):
    model = RSDet(small_yaml)
    model.train(data=tiny_data, epochs=1, project=str(tmp_path), iou_loss="siou", **TRAIN)
    assert model.model.yaml["iou_loss"] == "siou"
    assert model.model.iou_mean is None


def test_unknown_loss_is_refused_before_anything_runs(small_yaml):
    with pytest.raises(ConfigError, match="wiou-v3"):
        RSDet(small_yaml).train(data="demo", iou_loss="wiou-v4")
    with pytest.raises(ConfigError, match="iou_loss"):
        RSDet(small_yaml).val(data="demo", iou_loss="ciou")


class TestRunningMeanInTraining:
    def test_moves_in_training_and_not_in_validation(self):
        model = ready(build(small()))
        with torch.no_grad():
            model.loss(batch_of())
        model.iou_mean.commit()
        assert float(model.iou_mean.mean) == 1
        model.loss(batch_of())
        assert float(model.iou_mean.mean) == 1  # only a step moves it
        model.iou_mean.commit()
        assert float(model.iou_mean.mean) < 1

    def test_images_without_objects_leave_it(self):
        model = ready(build(small()))
        empty = {**batch_of(), "batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
        loss, _ = model.loss(empty)
        loss.sum().backward()
        model.iou_mean.commit()
        assert float(model.iou_mean.mean) == 1

    def test_accumulated_batches_equal_one_batch(self):
        whole, parts = RunningMean(0.1), RunningMean(0.1)
        values = torch.rand(12)
        whole.add(values)
        for part in (values[:2], values[2:5], values[5:5], values[5:]):
            parts.add(part)
        whole.commit()
        parts.commit()
        torch.testing.assert_close(whole.mean, parts.mean)
        torch.testing.assert_close(whole.mean, 0.9 + 0.1 * values.mean())

    def test_half_of_the_start_is_left_after_7000_steps_unless_the_trainer_knows_better(self):
        assert (1 - RunningMean().momentum) ** 7000 == pytest.approx(0.5)

    def test_a_dropped_step_leaves_no_trace(self):
        mean = RunningMean(0.5)
        mean.add(torch.tensor([float("nan")]))
        mean.drop()
        mean.commit()
        assert float(mean.mean) == 1

    def test_half_precision_keeps_it_exact(self):
        mean = RunningMean()
        mean.mean.fill_(0.123456789)
        for changed in (copy.deepcopy(mean).half(), torch.nn.Sequential(copy.deepcopy(mean)).half()[0].float()):
            assert changed.mean.dtype == torch.float32
            assert torch.equal(changed.mean, mean.mean)

    def test_survives_the_checkpoint_exactly_and_resumes(self, tiny_data, tmp_path, small_yaml):
        seen = {}

        def note(trainer):
            seen[trainer.epoch] = float(trainer.model.iou_mean.mean)

        model = RSDet(small_yaml)
        model.add_callback("on_train_epoch_end", note)
        last = stopped_run(model, tiny_data, tmp_path, epochs=3, stop_after=2)
        kept = RSDet(last)
        assert float(kept.model.iou_mean.mean) == pytest.approx(seen[1], abs=1e-7)
        assert seen[1] != seen[0] != 1

        begun = {}
        kept.add_callback("on_train_start", lambda t: begun.update(m=float(t.model.iou_mean.mean), a=t.args.iou_loss))
        kept.train(resume=True)
        assert begun["m"] == pytest.approx(seen[1], abs=1e-7)
        assert begun["a"] is None

    def test_a_new_training_starts_anew(self, tiny_data, tmp_path, small_yaml):
        model = RSDet(small_yaml)
        model.train(data=tiny_data, epochs=1, project=str(tmp_path), **TRAIN)
        assert float(model.model.iou_mean.mean) < 1
        begun = {}
        model.add_callback("on_train_start", lambda t: begun.update(m=float(t.model.iou_mean.mean)))
        model.train(data=tiny_data, epochs=1, project=str(tmp_path), **TRAIN)
        assert begun["m"] == 1

    @pytest.mark.parametrize(
        ("batches", "accumulate", "epochs", "steps"),
        [(57, 1, 400, 5700), (57, 4, 400, 1400), (5, 1, 2, 5), (1, 8, 8, 2)],
    )
    def test_a_twentieth_of_the_start_is_left_after_a_quarter_of_the_training(
        self, batches, accumulate, epochs, steps, monkeypatch
    ):
        monkeypatch.setattr(SafeTrainer, "_setup_train", lambda trainer: None)
        trainer = object.__new__(YOLOTrain)
        trainer.model, trainer.train_loader, trainer.test_loader = build(small()), [None] * batches, None
        trainer.accumulate, trainer.epochs = accumulate, epochs
        trainer._setup_train()
        assert (1 - trainer.model.iou_mean.momentum) ** steps == pytest.approx(0.05)

    def test_no_criterion_is_updated_by_the_trainer(self):
        model = ready(build(small()))
        assert not hasattr(model.init_criterion(), "update")  # Ultralytics calls it once per epoch where it is there
        assert isinstance(model.init_criterion().bbox_loss, YOLOBoxLoss)
        both = ready(build(small("yolo26-sar-ship.yaml"))).init_criterion()
        both.update()  # the schedule of the end-to-end criterion is Ultralytics' own
        assert both.one2many.bbox_loss.box_loss.mean is both.one2one.bbox_loss.box_loss.mean


def _rank(rank: int, values: list[list[float]], file: str, out: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=len(values))
    mean = RunningMean(0.25)
    if values[rank]:
        mean.add(torch.tensor(values[rank]))
    mean.commit()
    torch.save(mean.mean, f"{out}{rank}")
    torch.distributed.destroy_process_group()


def test_processes_share_the_mean_with_objects_in_one_of_them_only(tmp_path):
    values = [[0.2, 0.4, 0.9], []]
    torch.multiprocessing.spawn(_rank, (values, str(tmp_path / "meet"), str(tmp_path / "mean")), nprocs=2)
    means = [torch.load(f"{tmp_path / 'mean'}{r}") for r in (0, 1)]
    torch.testing.assert_close(means, [torch.tensor(0.75 + 0.25 * 0.5)] * 2)


class TestWeightsOfAnotherKind:
    def names(self, model, names):
        model.names = dict(enumerate(names))
        return model

    def test_class_rows_follow_their_names(self):
        theirs = self.names(build(small(nc=3)), ["ship", "buoy", "pier"])
        mine = self.names(build(small(nc=3)), ["pier", "ship", "crane"])
        mine.load(theirs, verbose=False)
        for ours, source in zip(mine.model[-1].cv3, theirs.model[-1].cv3, strict=True):
            for a, b in ((0, 2), (1, 0)):
                assert torch.equal(ours[-1].weight[4 * a : 4 * a + 4], source[-1].weight[4 * b : 4 * b + 4])

    def test_another_number_of_classes(self):
        theirs = self.names(build(small(nc=2)), ["ship", "buoy"])
        mine = self.names(build(small(nc=1)), ["buoy"])
        mine.load(theirs, verbose=False)
        assert torch.equal(mine.model[-1].cv3[0][-1].weight, theirs.model[-1].cv3[0][-1].weight[4:])

    def test_a_plain_head_does_not_replace_the_context_head(self):
        plain, mine = build(small("sar-ship-ablate-base.yaml")), build(small())
        before = copy.deepcopy(mine.model[-1].cv3.state_dict())
        mine.load(plain, verbose=False)
        assert mine.model[-1].cv3[0][0].conv.in_channels == 2 * mine.model[-1].cv2[0][0].conv.in_channels + 32
        assert mine.model[-1].cv3.state_dict().keys() == before.keys()
        assert torch.equal(mine.state_dict()["model.4.cv1.conv.weight"], plain.state_dict()["model.4.cv1.conv.weight"])


def test_layers_of_timm_are_loaded_safely(tmp_path):
    pytest.importorskip("timm")
    model = RSDet("sar-ship.yaml", attention="CBAM")
    path = tmp_path / "cbam.pt"
    model.save(path)
    again = RSDet(path)
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(again.model.eval()(x)[0], model.model.half().float().eval()(x)[0])
