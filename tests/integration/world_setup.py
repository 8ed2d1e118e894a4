"""Fixture of the integration tests: the language world, prepared."""
import shutil
import sys

import harness


def main():
    world = harness.WORLD
    if (world / "heldout" / "MANIFEST.json").exists():
        return 0
    shutil.rmtree(world, ignore_errors=True)
    world.parent.mkdir(parents=True, exist_ok=True)
    steps = [("world", "make", "--out", world)]
    for source, target in (("train", "data"), ("heldout", "heldout")):
        steps.append(("prepare", "--model", world / "policy", "--in",
                      world / f"{source}.jsonl", "--out", world / target))
    for arguments in steps:
        process = harness.varalign(*arguments)
        if process.returncode != 0:
            print(process.stdout, process.stderr)
            return process.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
