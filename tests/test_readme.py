"""Every command and snippet of the README and of the pages that can run here is run, in order, as a user would."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import cv2
import pytest
import rasterio
import rasterio.transform

from rsdet import modes

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
INCLUDED = ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY")  # pages of the site that lie elsewhere
BLOCK = re.compile(r"```(bash|python)\n(.*?)```\n(<!-- not run by the tests: (.*?) -->)?", re.S)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of the blocks of a page that run."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(kind, text) for kind, text, excused, _ in found if not excused]


NAMED = re.compile(r"""(?:\b(?:model|enhance|check|pretrained)=\[?|\b(?:RSDet|YOLO)\(["'])([\w./,-]+)""")
# What a training or an export writes whatever it is called, and what Ultralytics fetches by name.
COMMON = re.compile(r"(best(-\w+)*|last)\.(pt|onnx|engine)|(yolo|rtdetr-)[a-z\d]+(-\w+)?\.(pt|yaml)|smp\.yaml")


def nowhere(text: str) -> list[str]:
    """Models that examples name, which neither come with rsdet nor are made by an earlier line."""
    from rsdet import zoo
    from rsdet.modelyaml import list_models

    there = {"NAME", "RSDet", *zoo.list_weights(), *list_models(), *(m.removesuffix(".yaml") for m in list_models())}
    out = []
    for found in NAMED.finditer(text):
        for model in filter(None, found[1].rstrip(".").split(",")):
            before = text[: found.start()]
            run = re.fullmatch(r"runs/\w+/([\w-]+)/weights/.+", model)
            made = f"name={run[1]}" in before if run else f'"{model}"' in before
            if not (model in there or COMMON.fullmatch(model) or made):
                out.append(model)
    return out


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def demo_at_hand() -> None:
    """What `data=demo` renders at its first use lies there already: of 8 scenes, over and over, in a second."""
    from rsdet.data import demo
    from rsdet.data.resolve import home
    from rsdet.data.scenes import render_scene

    with pytest.MonkeyPatch.context() as patch:
        drawn = lru_cache(lambda seed: render_scene(seed, 320))
        patch.setattr(demo, "render_scene", lambda seed, size: drawn(seed % 8))
        demo.make_demo(home() / "demo", n_train=400, n_val=100, progress=False)


def fill(where: Path, tiny_data: Path) -> Path:
    """A working folder with two pictures in images/ and a scene.tif, which the pages suppose."""
    (where / "images").mkdir()
    for image in sorted((tiny_data.parent / "images" / "val").glob("*.jpg"))[:2]:
        shutil.copy(image, where / "images")
    picture = cv2.resize(cv2.imread(str(image)), (400, 300))
    place = {"crs": "EPSG:32635", "transform": rasterio.transform.from_origin(500_000, 5_960_000, 0.3, 0.3)}
    with rasterio.open(where / "scene.tif", "w", width=400, height=300, count=3, dtype="uint8", **place) as file:
        file.write(picture[..., ::-1].transpose(2, 0, 1))
    return where


def run(args: list[str], folder: Path) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "0"}
    done = subprocess.run(args, cwd=folder, capture_output=True, text=True, timeout=3600, env=env)
    assert done.returncode == 0, f"{args}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


def absent(page: Path) -> list[str]:
    """Packages that the blocks of a page need and that are not installed; rsdet itself needs none of them."""
    text = "\n".join(text for _, text in blocks(page))
    needed = {*re.findall(r"^(?:import|from) (\w+)", text, re.M), *(["lap"] if "rsdet track" in text else [])}
    return sorted(name for name in needed if importlib.util.find_spec(name) is None)


def run_page(page: Path, folder: Path) -> None:
    """Run the blocks of a page in the order in which they stand."""
    for i, (kind, text) in enumerate(blocks(page)):
        if kind == "python":
            (folder / f"snippet{i}.py").write_text(text)
            run([sys.executable, f"snippet{i}.py"], folder)
            continue
        for command in (line for line in text.splitlines() if line.strip()):
            words = command.split(" #")[0].split()
            assert words[0] == "rsdet", command
            run([sys.executable, "-m", "rsdet", *words[1:]], folder)


@pytest.mark.usefixtures("demo_at_hand")
def test_the_blocks_of_the_readme_run(tiny_data, tmp_path):
    folder = fill(tmp_path, tiny_data)
    verbs = {line.split()[1] for kind, text in blocks(PAGES[0]) if kind == "bash" for line in text.splitlines()}
    assert verbs == {"train", "val", "predict", "export", "benchmark"}, "one block a verb"
    run_page(PAGES[0], folder)
    first = folder / "runs" / "detect" / "first" / "weights"
    assert (first / "best.pt").is_file()
    assert (first / "best.onnx").is_file()
    assert list((folder / "runs" / "detect").glob("predict*/predictions-coco.json"))
    assert list((folder / "speed").glob("*.csv"))
    assert {p.suffix for p in (folder / "runs" / "detect" / "city").iterdir()} >= {".gpkg", ".qml", ".json", ".png"}
    assert (folder / "weights.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES[1:] if blocks(p)], ids=name)
@pytest.mark.usefixtures("demo_at_hand")
def test_the_blocks_of_a_page_run(page, tiny_data, tmp_path):
    if packages := absent(page):
        pytest.skip(f"{', '.join(packages)} not installed")
    run_page(page, fill(tmp_path, tiny_data))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_that_do_not_run_say_why(page):
    excused = [why for _, _, mark, why in BLOCK.findall(page.read_text(encoding="utf-8")) if mark]
    assert all(len(why) > 10 for why in excused)


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / f"{n}.md" for n in INCLUDED)], ids=name)
def test_what_a_page_points_to_exists(page):
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:", link)]
    targets = {link: page.parent / link.split("#")[0] for link in links if not link.startswith("#")}
    # of a folder, the site shows its README
    assert [link for link, to in targets.items() if not (to / "README.md" if to.is_dir() else to).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_models_that_examples_name_can_be_had(page):
    assert nowhere(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("mode", modes.names())
def test_models_that_help_names_can_be_had(mode):
    assert [m for e in modes.get(mode).examples for m in nowhere(e)] == []


@lru_cache
def keys_of(mode: str) -> set[str]:
    from rsdet.modes.help import keys_in

    return {*keys_in(mode), *(keys_in("train") if mode == "crossval" else ())}


def unknown_words(text: str) -> list[str]:
    """Modes and keys of commands in a page, in blocks or within lines, that there are not."""
    from rsdet.modelyaml import find_model_yaml, read_model_yaml, variable_names

    lines = [line for _, block, *_ in BLOCK.findall(text) for line in block.splitlines()]
    commands = [*re.findall(r"`(rsdet [^`]+)`", text), *(line for line in lines if line.startswith("rsdet "))]
    out = []
    for command in commands:
        _, mode, *words = command.partition(" #")[0].split()
        keys = [word.partition("=")[0] for word in words if "=" in word]
        if mode in modes.names():
            model = next((w.partition("=")[2] for w in words if w.startswith("model=")), "")
            yaml = find_model_yaml(model) or find_model_yaml(f"{model}.yaml")
            own = {*variable_names(read_model_yaml(yaml)), "recipe"} if yaml else set()  # whoever fits takes a recipe
            out += [f"{key}= in {command}" for key in keys if key not in keys_of(mode) | own]
        elif not (mode.startswith("--") or mode == "MODE"):
            out.append(f"{mode} in {command}")
    return out


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md"], ids=name)
def test_commands_name_modes_and_keys_that_there_are(page):
    assert unknown_words(page.read_text(encoding="utf-8")) == []


def test_a_word_that_there_is_not_is_noticed():
    text = "`rsdet trian data=a` `rsdet val model=cfar method=os thresh=1`\n```bash\nrsdet split kk=2  # a=b\n```\n"
    assert [found.split()[0] for found in unknown_words(text)] == ["trian", "thresh=", "kk="]


def test_a_model_that_nobody_has_is_noticed():
    text = "predict model=vmc-detr.pt enhance=[dcp,dwtma.pt]\ntrain name=a\nval model=runs/detect/a/weights/best.pt"
    assert nowhere(text) == ["vmc-detr.pt", "dwtma.pt"]
    assert nowhere("val model=runs/detect/b/weights/best.pt") == ["runs/detect/b/weights/best.pt"]


def test_every_format_of_labels_is_on_the_page_about_data():
    from rsdet.data.importers import IMPORTERS

    text = (DOCS / "howto" / "data.md").read_text(encoding="utf-8")
    assert [f for f in IMPORTERS if f"`{f}`" not in text] == []


def test_the_model_table_is_what_info_says():
    from rsdet.deploy.complexity import complexity
    from rsdet.modelyaml import load_model_yaml
    from rsdet.tasks.detect.model import build

    row = r"^\| `(\S+?)`(?: (\w))? \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(row, (DOCS / "tasks" / "detect.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) >= 6
    for model, scale, *stated in rows[:2]:  # two are enough: tests/test_models_vmc.py holds the rest
        found = complexity(build(load_model_yaml(model, scale or None), nc=8), imgsz=640)
        assert [f"{n:.2f}" for n in (found.params / 1e6, found.gflops_legacy, found.gflops_true)] == stated


@pytest.mark.slow
def test_what_info_says_stands_in_the_row_of_its_claim(capsys):
    from rsdet.cli import run as rsdet

    rows = [line for line in (DOCS / "claims.md").read_text(encoding="utf-8").splitlines() if "`rsdet info" in line]
    assert len(rows) > 10
    for row in rows:
        assert rsdet(re.search(r"`rsdet (info [^`]+)`", row)[1].split()) == 0
        said = re.findall(r"[\d,.]+\d(?= parameters| M parameters| GFLOPs \(legacy\))", capsys.readouterr().out)
        assert any(number in row for number in said if number != "0.00"), (row, said)
