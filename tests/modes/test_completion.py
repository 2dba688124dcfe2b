"""``rsdet completion``: what a shell offers is what help knows."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rsdet import modes
from rsdet.cli import run


@pytest.fixture(scope="module")
def scripts():
    from rsdet.modes.completion import SHELLS

    return {shell: make() for shell, make in SHELLS.items()}


def offered(script: str, line: str) -> list[str]:
    """What bash offers at the end of a line."""
    code = f"{script}\nCOMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; _rsdet; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_offers_modes_keys_and_names(scripts):
    bash = scripts["bash"]
    assert set(offered(bash, "rsdet ")) == set(modes.names())
    assert offered(bash, "rsdet pre") == ["predict"]
    keys = offered(bash, "rsdet train ")
    assert {"model=", "data=", "epochs=", "lr0=", "iou_loss="} <= set(keys)  # of ours, Ultralytics' and a task's
    assert offered(bash, "rsdet val model=vmc-detr-demo") == ["vmc-detr-demo", "vmc-detr-demo.yaml"]
    assert "hit-uav" in offered(bash, "rsdet train model=a.yaml data=hit")
    assert offered(bash, "rsdet list wei") == ["weights"]
    assert "detect" in offered(bash, "rsdet help d")
    assert offered(bash, "rsdet info detailed=T") == ["True"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_takes_its_script(scripts, shell):
    for word in (*modes.names(), "epochs", "vmc-detr-demo", "hit-uav"):
        assert word in scripts[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=scripts[shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_another_shell_is_refused_in_one_line(capsys):
    assert run(["completion"]) == 2
    assert "completion needs shell=; pass one of bash, zsh, fish" in capsys.readouterr().err
    assert run(["completion", "bashh"]) == 2
    assert "Did you mean 'bash'" in capsys.readouterr().err
    assert run(["completion", "bash", "zsh"]) == 2
    assert "completion takes shell and key=value, received 'zsh'" in capsys.readouterr().err
