"""Merges killed with SIGKILL at random moments and before every step leave whole folders.

`python -m tests.faults.kills --count 100`; test_kills.py runs a shorter version.
The merges are forks of this process, which has everything imported: nearly every kill then
hits the merge itself, not the start of an interpreter.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system import atomic_folders as atomic
from tests.helpers.tiny_models import random_llama, tuned_llama

STEPS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}
"""Events of Python that change the file system, or come before such a change."""

Contents = dict[str, bytes]


class Scene:
    """Two merges with different weights and shards that replace each other in one folder."""

    def __init__(self, root: Path) -> None:
        self.out = root / "merged" / "out"
        base = random_llama(0)
        base.save(root / "base")
        tuned_llama(base, 1).save(root / "math")
        self._recipes = [
            MergeRecipe(str(root / "base"), (DomainModel(str(root / "math"), (rate,)),))
            for rate in (0.8, 0.5)
        ]
        self.whole: list[Contents] = []
        for number in (0, 1):
            self.merge(number)
            self.whole.append(contents(self.out))
        self.seconds = min(timed(lambda: self.merge(1, sync=True)) for _ in range(3))

    def merge(self, number: int, *, sync: bool = False) -> None:
        """Make one of the two, replacing the other if present."""
        sizes = (10**9, 20_000)
        merge_to_folder(
            self._recipes[number], self.out, overwrite=True, shard_size=sizes[number], sync=sync
        )

    def start(self, old: bool) -> None:
        """Have no target, or the first of the two merges."""
        shutil.rmtree(self.out.parent, ignore_errors=True)
        if old:
            self.merge(0)

    def state(self) -> str:
        """Which merge is in the target; fails unless it is whole."""
        if not os.path.lexists(self.out):
            return "absent"
        current = contents(self.out)
        if current not in self.whole:
            raise AssertionError(f"half a merge: {sorted(current)}")
        return "old" if current == self.whole[0] else "new"


def contents(folder: Path) -> Contents:
    """Bytes of every file, by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def timed(work: Callable[[], object]) -> float:
    """Seconds that work takes in a fork."""
    began = time.perf_counter()
    run(work)
    return time.perf_counter() - began


def run(work: Callable[[], object], seconds: float | None = None) -> bool:
    """Do work in a fork that is killed after some seconds; whether it was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the merge failed of itself")
    return os.WIFSIGNALED(status)


def before_step(number: int, near: Path) -> None:
    """Kill this process before a given step near a folder."""
    left = number

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS and str(near) in str(args[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def check(scene: Scene, old: bool, one_step: bool) -> tuple[str, bool]:
    """The state after a kill, and whether a partial folder is left; the next merge clears it."""
    state = scene.state()
    if old and one_step and state == "absent":
        raise AssertionError("the old merge was gone before the new one was there")
    others = scene.out.parent.glob(".*") if scene.out.parent.exists() else ()
    partial = any(others)
    if old and not one_step and state == "absent":
        atomic.sweep(scene.out)
        if scene.state() != "old":
            raise AssertionError("the old merge did not come back")
    scene.merge(1)
    names = [path.name for path in scene.out.parent.iterdir()]
    if names != ["out"] or scene.state() != "new":
        raise AssertionError(f"the next merge left {names}")
    return state, partial


def kill_at_random(scene: Scene, count: int, seed: int) -> Counter[str]:
    """Kill merges at random moments; count the states that the kills left."""
    rng, states, kills = random.Random(seed), Counter[str](), 0
    while kills < count:
        old = kills % 2 == 1
        scene.start(old)
        if run(lambda: scene.merge(1, sync=True), rng.uniform(0, scene.seconds)):
            state, partial = check(scene, old, one_step=True)
            states.update([state, "partial"] if partial else [state])
            kills += 1
    return states


def kill_before_steps(scene: Scene, stride: int) -> int:
    """Kill merges before every step, or every nth; with and without the kernel's exchange.

    Returns:
        The number of kills.
    """
    kills, kernel = 0, atomic.exchange
    for old, exchange in ((False, kernel), (True, kernel), (True, lambda source, target: False)):
        for step in range(0, 10_000, stride):
            scene.start(old)
            atomic.exchange = exchange

            def work(step: int = step) -> None:
                before_step(step, scene.out.parent)
                scene.merge(1, sync=True)

            killed = run(work)
            atomic.exchange = kernel
            if not killed:
                break
            check(scene, old, one_step=exchange is kernel)
            kills += 1
    return kills


def main() -> None:
    """Kill merges as often as asked, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="kills at random moments")
    parser.add_argument("--stride", type=int, default=1, help="kill before every so-manieth step")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DPPA_CACHE": str(Path(folder) / "cache"), "DPPA_COMPILE": "0"}
        scene = Scene(Path(folder))
        states = kill_at_random(scene, options.count, options.seed)
        steps = kill_before_steps(scene, options.stride)
    sys.stdout.write(
        f"{options.count} merges killed at random moments: target absent {states['absent']}, "
        f"old {states['old']}, new {states['new']}, half-written 0; {states['partial']} left "
        f"a partial folder, the next merge none. "
        f"{steps} killed before a step of their own: the same.\n"
    )


if __name__ == "__main__":
    main()
