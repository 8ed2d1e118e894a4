#!/usr/bin/env python3
"""What clang finds in src: check_clang.py BUILD thread-safety|tidy [FILE ...].

Reads BUILD/compile_commands.json and runs on each .cc file below src, or on
those named:

  thread-safety   clang's analysis of the annotations on mutexes and on what
                  they guard; gcc reads over them
  tidy            clang-tidy with the project's .clang-tidy

Prints the findings and one line, "N files, N with findings"; exits 1 if there
is one.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

VERSION = "19"
ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of gcc, or of no use where no code is made.
DROPPED = ("-W", "-O", "-g", "-fopenmp", "-fsanitize", "-fno-omit")


def clang_arguments(entry):
    """The compiler's arguments of an entry, as clang takes them."""
    words = shlex.split(entry["command"])
    if "ccache" in words[0]:
        words = words[1:]
    arguments = []
    skip_next = False
    for word in words[1:]:
        if skip_next:
            skip_next = False
        elif word in ("-o", "-MF", "-MT"):
            skip_next = True
        elif word not in ("-c", "-MD") and not word.startswith(DROPPED):
            arguments.append(word)
    return arguments


def own_entries(build, names):
    """One entry for each source file of the project."""
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if path.suffix != ".cc" or not path.is_relative_to(ROOT / "src"):
            continue
        relative = path.relative_to(ROOT).as_posix()
        if not names or relative in names:
            entries.setdefault(relative, entry)
    return dict(sorted(entries.items()))


def thread_safety_command(entry, _):
    return [f"clang++-{VERSION}", *clang_arguments(entry), "-fsyntax-only",
            "-Wthread-safety", "-Werror=thread-safety"]


def tidy_command(entry, database):
    return [f"clang-tidy-{VERSION}", "-p", database, "--quiet", entry["file"]]


def write_database(build, entries):
    """clang-tidy reads its arguments from a database of its own."""
    directory = build / "clang"
    directory.mkdir(exist_ok=True)
    (directory / "compile_commands.json").write_text(json.dumps([
        {"directory": entry["directory"], "file": entry["file"],
         "arguments": [f"clang++-{VERSION}", *clang_arguments(entry)]}
        for entry in entries.values()]))
    return directory


def findings(command, entry):
    result = subprocess.run(command, cwd=entry["directory"], text=True,
                            capture_output=True, check=False)
    if result.returncode == 0:
        return ""
    # clang-tidy counts the warnings of other people's headers on stderr.
    return result.stdout or result.stderr


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("kind", choices=("thread-safety", "tidy"))
    parser.add_argument("files", nargs="*", metavar="FILE")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    entries = own_entries(build, arguments.files)
    database = write_database(build, entries)
    make_command = (tidy_command if arguments.kind == "tidy" else
                    thread_safety_command)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(findings, make_command(entry, database), entry)
                for entry in entries.values()]
        for job in jobs:
            text = job.result()
            failed += bool(text)
            sys.stdout.write(text)
    print(f"{len(entries)} files, {failed} with findings")
    return 1 if failed or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
