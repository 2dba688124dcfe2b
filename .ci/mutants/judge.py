"""Judges mutants by tests: one warm process that has imported what takes long, and forks for each mutant."""

from __future__ import annotations

import compileall
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

# None of them imports the package: what a mutant changes is imported anew in its process.
SLOW_IMPORTS = (
    "torch", "cv2", "scipy.fft", "pywt", "timm", "hypothesis", "pycocotools.mask", "onnxruntime",
    "ultralytics.nn.tasks", "ultralytics.engine.trainer", "ultralytics.models.rtdetr", "ultralytics.models.yolo",
)  # fmt: skip
ENDLESS = 60.0  # CPU seconds above the budget after which a mutant is said to hang: no test of a room takes half of it
WALL = 20  # and so many times that on the clock, for tests that wait; the machine may be shared


def copies(root: Path, folder: Path, n: int) -> list[Path]:
    """Copy what git sees of the working tree n times, so that no mutant is ever made in it."""
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, text=True).splitlines()
    made = [folder / f"copy{i}" / "repository" for i in range(n)]
    for copy in made:
        for file in files:
            if (root / file).is_file():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / file, copy / file)
        compileall.compile_dir(copy / "rsdet", quiet=1)
    return made


def warm_up(folder: Path) -> None:
    """Import what takes long, with one thread, and with settings that make tests alike in each run."""
    os.environ.update(
        OMP_NUM_THREADS="1",
        YOLO_CONFIG_DIR=str(folder),
        MPLBACKEND="Agg",
        YOLO_OFFLINE="1",
        PYTHONDONTWRITEBYTECODE="1",
    )
    for name in SLOW_IMPORTS:
        importlib.import_module(name)
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "mutants", deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    settings.load_profile("mutants")


class Watch:
    """Plugin of pytest that runs named tests first, notes the first that fails, and stops where the budget is spent.

    Args:
        first: Beginnings of the ids of tests.
        budget: CPU seconds.
        note: File that says `failed ID` or `enough`.
    """

    def __init__(self, first: tuple[str, ...], budget: float, note: Path):
        self.first, self.budget, self.note = first, budget, note

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort; the others keep their order."""
        items.sort(key=lambda item: not item.nodeid.startswith(self.first))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and not self.note.exists():
            self.note.write_text(f"failed {report.nodeid}")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        """Stop after this test where the time is spent."""
        if time.process_time() > self.budget and not self.note.exists():
            self.note.write_text("enough")
            item.session.shouldstop = "enough"


class Run:
    """Tests in a process of their own, forked at once.

    Args:
        copy: Copy of the repository that they run in.
        arguments: Files of tests, ids of those to run first, and options of pytest.
        budget: CPU seconds after which no further test begins.
    """

    def __init__(self, copy: Path, arguments: list[str], budget: float):
        self.limit = budget + ENDLESS
        self.note, self.log = copy.parent / "note.txt", copy.parent / "log.txt"
        self.note.unlink(missing_ok=True)
        self.used, self.began = 0.0, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(copy, arguments, budget)

    def _child(self, copy: Path, arguments: list[str], budget: float) -> None:
        code = 70
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setpgid(0, 0)  # so that what the tests start can be ended with them
            resource.setrlimit(resource.RLIMIT_CPU, (int(self.limit), int(self.limit) + 5))
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.chdir(copy)
            os.environ["PYTHONPATH"] = str(copy)
            sys.path.insert(0, str(copy))
            sys.dont_write_bytecode = True
            files = {a.partition("::")[0] for a in arguments if "::" not in a}
            first = tuple(a for a in arguments if a.partition("::")[0] in files and "::" in a)
            arguments = [a for a in arguments if a not in first]
            code = pytest.main(
                ["-x", "-q", "--no-header", "--tb=line", "-p", "no:randomly", "-p", "no:cacheprovider",
                 "--rootdir", ".", f"--basetemp={copy.parent / 'temporary'}", *arguments],
                plugins=[Watch(first, budget, self.note)],
            )  # fmt: skip
        finally:
            sys.stdout.flush()
            os._exit(int(code))

    def ended(self) -> tuple[str, str] | None:
        """Return the verdict and the test that failed, or None while it runs.

        The verdict is killed, survived, timeout, cut (the budget ended before the tests) or ended (from outside).
        """
        pid, status, used = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() - self.began < WALL * self.limit:
                return None
            self.stop()
            return "timeout", ""
        self.used = used.ru_utime + used.ru_stime
        note = self.note.read_text() if self.note.exists() else ""
        if os.WIFSIGNALED(status) and self.used >= self.limit - 1:
            return "timeout", ""
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:  # as where memory ran out
            return "ended", ""
        if note == "enough":
            return "cut", ""
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return "survived", ""
        return "killed", note.removeprefix("failed ")  # without an id: it crashed, or the tests could not be imported

    def stop(self) -> None:
        """End it and what it started."""
        os.killpg(self.pid, signal.SIGKILL)
        os.wait4(self.pid, 0)

    def wait(self) -> tuple[str, str]:
        """Return the same once it has ended."""
        while (verdict := self.ended()) is None:
            time.sleep(0.05)
        return verdict


class Judge:
    """Runs tests on one mutant after another.

    A test that fails counts only if it passes without the mutant; one that does not is left out from then on.

    Args:
        made: Copies of the repository, one for each process.
        budget: CPU seconds of tests for a mutant.
    """

    def __init__(self, made: list[Path], budget: float):
        self.free, self.budget = made, budget
        self.sound: set[str] = set()
        self.broken: set[str] = set()

    def all(self, work: Iterable[tuple[object, str, str, list[str]]], done: Callable[..., None]) -> None:
        """Judge one mutant in each copy at a time.

        Args:
            work: Key, file, changed source and tests of each mutant.
            done: Called with key, verdict, failed test and CPU seconds.
        """
        running: list[tuple[tuple, Path, tuple[bytes, int], Run]] = []
        try:
            self._all(iter(work), running, done)
        finally:
            for *_, run in running:
                run.stop()

    def _all(self, work: Iterator[tuple], running: list, done: Callable[..., None]) -> None:
        once_more: list[tuple] = []
        while True:
            while self.free and (job := once_more.pop() if once_more else next(work, None)):
                copy = self.free.pop()
                path = copy / job[1]
                original = path.read_bytes(), path.stat().st_mtime_ns
                path.write_text(job[2])
                running.append((job, copy, original, Run(copy, self._arguments(job[3]), self.budget)))
            if not running:
                return
            for entry in list(running):
                job, copy, (content, changed), run = entry
                if (verdict := run.ended()) is None:
                    continue
                running.remove(entry)
                (copy / job[1]).write_bytes(content)
                os.utime(copy / job[1], ns=(changed, changed))  # by which its byte code is known to be up to date
                if verdict[0] == "ended" or (verdict[0] == "killed" and not self._sound(copy, verdict[1], job[3])):
                    once_more.append(job)
                else:
                    done(job[0], *verdict, run.used)
                self.free.append(copy)
            time.sleep(0.05)

    def _arguments(self, tests: list[str]) -> list[str]:
        return [*tests, *(f"--deselect={test}" for test in self.broken)]

    def _sound(self, copy: Path, test: str, tests: list[str]) -> bool:
        """Whether the test passes without a mutant; without an id, whether all can be imported."""
        key = test or " ".join(tests)
        if key in self.sound:
            return True
        run = Run(copy, [test] if test else ["--collect-only", *tests], self.budget)
        if run.wait()[0] in ("survived", "cut"):
            self.sound.add(key)
            return True
        if not test:
            raise SystemExit(f"{key} cannot be run without a mutant:\n{run.log.read_text()[-3000:]}")
        print(f"left out, since it fails without a mutant: {test}", flush=True)
        self.broken.add(test)
        return False
