"""``rsdet completion``: what a shell offers is what help knows."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time

import pytest

from rsdet import modes
from rsdet.cli import run


@pytest.fixture(scope="module")
def scripts():
    from rsdet.modes.completion import SHELLS

    return {shell: make() for shell, make in SHELLS.items()}


def offered(script: str, line: str, folder: str = "/") -> list[str]:
    """What bash offers at the end of a line."""
    words = re.findall(r"=|[^\s=]+", line) + [""] * line.endswith((" ", "="))  # as bash breaks them
    words = words[:-1] if line.endswith("=") else words
    typed = f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}"
    code = f"{script}\n{typed}; _rsdet; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


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


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_offers_files_whole(scripts, tmp_path):
    (tmp_path / "my pictures").mkdir()
    assert offered(scripts["bash"], "rsdet predict source=my", tmp_path) == ["my pictures"]
    assert "my pictures" in offered(scripts["bash"], "rsdet predict source=", tmp_path)


def answered(shell: list[str], typed: str, wanted: str, folder) -> str:
    """What a shell on a terminal has shown by the time that it shows what is wanted, or has had time to."""
    ours, theirs = os.openpty()
    world = {**os.environ, "TERM": "dumb", "PS1": "$ ", "HOME": str(folder)}
    child = subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=world, start_new_session=True
    )
    os.close(theirs)
    shown, end = "", time.monotonic() + 300  # of a machine that others use
    try:
        os.write(ours, typed.encode())
        while wanted not in shown and time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 1 << 16).decode(errors="replace")
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    return shown


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_what_is_typed(scripts, tmp_path):
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "c.bash").write_text(scripts["bash"])
    wanted = "predict source=my\\ pictures/"
    typed = "source c.bash\nrsdet pred\tsource=my\t"
    assert wanted in answered(["bash", "--norc", "-i"], typed, wanted, tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_takes_its_script(scripts, shell):
    for word in (*modes.names(), "epochs", "vmc-detr-demo", "hit-uav"):
        assert word in scripts[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=scripts[shell], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_another_shell_is_refused_in_one_line(capsys):
    assert run(["completion"]) == 2
    assert "completion needs shell=; pass one of bash, zsh, fish" in capsys.readouterr().err
    assert run(["completion", "bashh"]) == 2
    assert "Did you mean 'bash'" in capsys.readouterr().err
    assert run(["completion", "bash", "zsh"]) == 2
    assert "completion takes shell and key=value, received 'zsh'" in capsys.readouterr().err
