"""One answer to which task data are for, and where they lie: by a data YAML, by its labels, by what it has drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fakes import make_fake

from rsdet.data import download
from rsdet.data import resolve as module
from rsdet.data.download import list_datasets
from rsdet.data.resolve import resolve_data
from rsdet.errors import ConfigError
from rsdet.paths import datasets_dir

BOX, QUAD = "0 0.5 0.5 0.2 0.2\n", "0 0.1 0.1 0.4 0.2 0.3 0.5 0.1 0.4\n"
POLYGON = "0 0.1 0.1 0.4 0.2 0.5 0.5 0.3 0.5 0.1 0.4\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Folder of what is rendered."""
    monkeypatch.setenv("RSDET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def labelled(root: Path, *labels: str, **content) -> Path:
    """A data YAML with one image and its label file for each of ``labels``."""
    for kind in ("images", "labels"):
        (root / kind / "train").mkdir(parents=True)
    for i, text in enumerate(labels):
        (root / "images" / "train" / f"{i}.jpg").touch()
        (root / "labels" / "train" / f"{i}.txt").write_text(text)
    content = {"train": "images/train", "val": "images/train", "names": {0: "a"}, **content}
    (root / "d.yaml").write_text(yaml.safe_dump(content))
    return root / "d.yaml"


@pytest.mark.parametrize("entry", ["images/train", ["images/train"], "list.txt"])
@pytest.mark.parametrize(
    ("labels", "fit"),
    [
        ((BOX, BOX * 3), {"detect"}),
        ((QUAD, "", QUAD + "\n"), {"obb", "segment"}),
        ((POLYGON, QUAD), {"segment", "detect", "obb"}),  # Ultralytics makes boxes of polygons, COCO comes so
        ((), {"detect", "obb", "segment", "restore"}),
        (("", ""), {"detect", "obb", "segment", "restore"}),
    ],
)
def test_labels_say_which_task_data_are_for(tmp_path, entry, labels, fit):
    path = labelled(tmp_path, *labels, train=entry, val=None)
    (tmp_path / "list.txt").write_text("".join(f"./images/train/{i}.jpg\n" for i in range(len(labels))))
    for task in ("detect", "obb", "segment", "restore"):
        if task in fit:
            assert resolve_data(path, task) == path
        else:
            with pytest.raises(
                ConfigError, match=f"has labels for task=.*, the model for task={task}; give data for {task}"
            ):
                resolve_data(path, task)


def test_what_a_yaml_says_counts_more_than_its_labels(tmp_path):
    path = labelled(tmp_path, QUAD, task="detect")
    assert resolve_data(path, "detect") == path
    with pytest.raises(ConfigError) as caught:
        resolve_data(path, "obb")
    assert str(caught.value) == (
        f"data={path} is for task=detect, the model for task=obb; give data for obb such as demo, or a model for "
        "detect (rsdet list models)"
    )
    path.write_text(path.read_text().replace("task: detect", "task: {detect: 1}"))
    with pytest.raises(ConfigError, match="task must be a name such as detect, or a list of names"):
        resolve_data(path, "detect")


def test_pictures_beside_labels_may_be_restored(tmp_path):
    path = labelled(tmp_path, BOX, degrade="haze")
    content = yaml.safe_load(path.read_text())
    del content["names"]
    path.write_text(yaml.safe_dump(content))
    assert resolve_data(path, "restore") == path


def test_key_points_and_damaged_label_files_are_left_to_others(tmp_path):
    path = labelled(tmp_path, "0 " + "0.5 " * 8 + "\n", kpt_shape=[2, 2])
    assert resolve_data(path, "detect") == path
    (tmp_path / "labels" / "train" / "0.txt").write_bytes(b"\xff\xfe\x00")
    assert resolve_data(path, "detect") == path


@pytest.mark.parametrize("name", ["dota8.yaml", "DOTAv1.yaml", "coco8-seg.yaml", "coco8.yaml"])
def test_yamls_of_ultralytics_without_files_are_taken(name, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_datasets_root", lambda: tmp_path)
    assert resolve_data(name, "obb").name == name


@pytest.mark.parametrize("name", [n for n in list_datasets() if n.startswith("demo")])
def test_rendered_sets_are_made_for_each_of_their_tasks(name, home, tmp_path):
    content = yaml.safe_load((datasets_dir() / f"{name}.yaml").read_text())
    of_pictures = "n_train" in content["render"]
    content["render"] |= {"n_train": 2, "n_val": 1, "size": 64} if of_pictures else {"size": 64}
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    for task in content["task"] if isinstance(content["task"], list) else [content["task"]]:
        path = resolve_data(tmp_path / f"{name}.yaml", task)
        made = yaml.safe_load(path.read_text())
        assert made["task"] == task
        if task == "semantic" and name == "demo":
            assert made["names"][0] == "ground"  # maps have classes of their own: what lies between the objects is one
        elif of_pictures:
            assert made.get("names") == content.get("names")
        assert path.is_relative_to(home)
        columns = {len(r.split()) for f in (path.parent / "labels").rglob("*.txt") for r in f.read_text().splitlines()}
        assert task == "segment" or columns <= {9 if task == "obb" else 5}
        assert resolve_data(path, task) == path
    with pytest.raises(ConfigError, match="the model for task=pose; give data for pose, or a model for"):
        resolve_data(tmp_path / f"{name}.yaml", "pose")
    if not of_pictures:
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content | {"render": content["render"] | {"n_train": 2}}))
        with pytest.raises(ConfigError, match="takes no n_train; leave it out"):
            resolve_data(tmp_path / f"{name}.yaml")


def test_data_demo_for_a_model_of_another_task_is_the_set_with_a_name_of_its_own():
    for name, task in (("demo-obb", "obb"), ("demo-seg", "segment")):
        content = yaml.safe_load((datasets_dir() / f"{name}.yaml").read_text())
        usual = yaml.safe_load((datasets_dir() / "demo.yaml").read_text())
        assert content["task"] == task
        assert content["render"] == usual["render"]
        assert content.get("name", name) == f"demo-{task}"


@pytest.mark.parametrize(
    "render",
    [
        {"by": "os:system"},
        {"by": "rsdet.data.demo:cv2"},
        {"by": "rsdet.data.demo:make_rendered"},
        {"by": "rsdet.data.demo:make_demo.__globals__"},
        {"by": "rsdet.data.demo:make_demo\n"},
        {"by": "rsdet.data.evil:make_demo"},
        {"by": "rsdet.data.demo:make_demo_of_mine"},
        {"by": "rsdet.datastore:make_demo"},
        {"by": "rsdet.data...demo:make_demo"},
        {"by": "rsdet.data.__init__:make_demo"},
        {"by": "evil:make_demo"},
        {"by": ["rsdet.data.demo:make_demo"]},
        {"by": "rsdet.data.demo:make_demo", "n_train": "2"},
        {"by": "rsdet.data.demo:make_demo", "n_train": True},
        {"by": "rsdet.data.demo:make_demo", "root": "/"},
        {"by": "rsdet.data.demo:make_demo", "progress": 1},
        "rsdet.data.demo:make_demo",
        None,
    ],
)
def test_render_runs_nothing_but_our_renderers(tmp_path, home, monkeypatch, render):
    (tmp_path / "evil.py").write_text("def make_demo(*a, **k): raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"task": "detect", "render": render}))
    with pytest.raises(ConfigError, match="render") as caught:
        resolve_data(tmp_path / "d.yaml", "detect")
    assert "\n" not in str(caught.value)
    assert not home.exists()


@pytest.mark.parametrize(
    ("by", "task"),
    [
        ("rsdet.data.demo:make_demo", "pose"),
        ("rsdet.data.demo:make_demo", "../../out"),
        ("rsdet.data.demo_sar:make_demo_sar", "segment"),
        ("rsdet.data.pairs.demo:make_demo_haze", "detect"),
    ],
)
def test_nothing_is_drawn_for_a_task_without_labels(tmp_path, home, by, task):
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"task": task, "render": {"by": by, "n_train": 1, "n_val": 1}}))
    for asked in (task, None):
        with pytest.raises(ConfigError, match="can be drawn for"):
            resolve_data(tmp_path / "d.yaml", asked)
    assert not home.exists()


def test_a_user_may_have_another_number_of_scenes_drawn_but_nowhere_else(tmp_path, home):
    render = {"by": "rsdet.data.demo:make_demo", "n_train": 2, "n_val": 1, "size": 64}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"task": ["obb"], "render": render}))
    path = resolve_data(tmp_path / "mine.yaml", "obb")
    assert path.parent == home / "mine"
    assert len(list((path.parent / "images").rglob("*.jpg"))) == 3
    for name in ("../out", "/tmp/out", ".hidden"):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"task": "obb", "render": render, "name": name}))
        with pytest.raises(ConfigError, match="plain folder name"):
            resolve_data(tmp_path / "mine.yaml", "obb")


def test_a_folder_that_happens_to_be_called_demo_is_no_obstacle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert download.find_yaml("demo") == datasets_dir() / "demo.yaml"
    (tmp_path / "demo").rmdir()
    (tmp_path / "demo").write_text("notes")
    assert download.find_yaml("demo") == datasets_dir() / "demo.yaml"


@pytest.mark.parametrize("data", [None, [1], "", "  ", 5])
def test_what_is_no_name_is_refused(data):
    with pytest.raises(ConfigError, match="must be the name of a shipped dataset or the path"):
        resolve_data(data, "detect")


def test_all_shipped_yamls_say_their_task():
    assert all(yaml.safe_load(p.read_text()).get("task") for p in datasets_dir().glob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "fake", "tasks"),
    [
        ("dota-v1", "dota", ["detect", "obb"]),
        ("hit-uav", "hit_uav", ["detect", "obb"]),
        ("hrsid", "hrsid", ["detect", "obb"]),  # and segment: the fake has no polygons
        ("ssdd", "ssdd", ["detect", "obb", "segment"]),
    ],
)
def test_a_shipped_set_is_converted_for_the_task_of_the_model(tmp_path, monkeypatch, name, fake, tasks):
    monkeypatch.setattr(module, "datasets_root", lambda: tmp_path)
    assert yaml.safe_load((datasets_dir() / f"{name}.yaml").read_text())["task"][: len(tasks)] == tasks
    make_fake(fake, tmp_path / f"{name}-original")
    for task in (None, *tasks):
        path = resolve_data(name, task)
        assert path.parent.name == (name if task in (None, "detect") else f"{name}-{task}")
        assert yaml.safe_load(path.read_text())["task"] == (task or "detect")
        rows = [r.split() for f in (path.parent / "labels").rglob("*.txt") for r in f.read_text().splitlines()]
        assert rows
        assert task == "segment" or {len(r) for r in rows} == {9 if task == "obb" else 5}
        assert task != "segment" or min(len(r) for r in rows) > 6


def test_a_set_made_of_the_pictures_of_another_has_it_made_ready_first(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "datasets_root", lambda: tmp_path / "datasets")
    asked = []
    monkeypatch.setattr(
        module, "check_dataset", lambda path, *_, **__: asked.append(Path(path).stem) or {"yaml_file": str(path)}
    )
    resolve_data("aerial-cars-haze", "restore")
    assert asked == ["aerial-cars", "aerial-cars-haze"]


@pytest.mark.parametrize("other", ["aerial-cars-haze", "mine.yaml", "../x", 3, None, ["aerial-cars"]])
def test_a_set_made_of_the_pictures_of_no_set_is_refused_in_one_line(tmp_path, other):
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"task": "restore", "pictures_of": other, "train": {"target": "images"}}))
    with pytest.raises(ConfigError, match="pictures_of must name a set that ships") as e:
        resolve_data(file, "restore")
    assert "\n" not in str(e.value)
