#!/usr/bin/env python3
"""Measures the length of files and functions: measure_code.py [DIRECTORY...].

Per folder of src (or of DIRECTORY): number, median, 90th percentile and maximum
of the lines of files and of functions, and the longest functions with their
places. Functions need universal-ctags; without it only files are measured.
"""
import argparse
import json
import math
import pathlib
import shutil
import statistics
import subprocess
import sys

PROJECT = pathlib.Path(__file__).parent.parent
SUFFIXES = {".h", ".cc", ".cu", ".cuh"}


def percentile(values, share):
    """The smallest value that at least `share` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(lengths):
    if not lengths:
        return {"count": 0}
    return {
        "count": len(lengths),
        "median": statistics.median(lengths),
        "p90": percentile(lengths, 0.9),
        "max": max(lengths),
    }


def count_lines(path):
    return len(path.read_text(errors="replace").splitlines())


def find_ctags():
    """The path of universal-ctags, or None."""
    for name in ("universal-ctags", "ctags"):
        program = shutil.which(name)
        if program is None:
            continue
        version = subprocess.run([program, "--version"], capture_output=True,
                                 text=True, check=False).stdout
        if "Universal Ctags" in version and "+json" in version:
            return program
    return None


def read_functions(ctags, files):
    """(lines, "FILE:LINE name") of each function that is defined in `files`."""
    if not files:
        return []
    output = subprocess.run(
        [ctags, "--output-format=json", "--fields=+ne", "--languages=C++",
         "--map-C++=+.cu.cuh", "--kinds-C++=f", "-L", "-", "-o", "-"],
        input="\n".join(str(path) for path in files), capture_output=True,
        text=True, check=True).stdout
    functions = []
    for line in output.splitlines():
        tag = json.loads(line)
        if tag.get("_type") == "tag" and "end" in tag:
            functions.append((tag["end"] - tag["line"] + 1,
                              f"{tag['path']}:{tag['line']} {tag['name']}"))
    return sorted(functions, key=lambda function: (-function[0], function[1]))


def measure(folder, ctags, num_longest):
    files = sorted(path for path in folder.rglob("*")
                   if path.suffix in SUFFIXES and path.is_file())
    measured = {"files": summary([count_lines(path) for path in files])}
    if ctags:
        functions = read_functions(ctags, files)
        measured["functions"] = summary([length for length, _ in functions])
        measured["longest"] = [{"lines": length, "where": where}
                               for length, where in functions[:num_longest]]
    return measured


def folders_of(directory):
    """`directory` as a whole, then each folder in it that has sources."""
    inside = [path for path in sorted(directory.iterdir())
              if path.is_dir() and any(file.suffix in SUFFIXES
                                       for file in path.rglob("*"))]
    return [directory] + inside


def print_table(measures):
    print(f"{'folder':28}{'files':>6}{'med':>6}{'p90':>6}{'max':>6}"
          f"{'functions':>11}{'med':>6}{'p90':>6}{'max':>6}")
    for name, measured in measures.items():
        cells = [f"{name:28}"]
        for kind, width in (("files", 6), ("functions", 11)):
            lengths = measured.get(kind, {"count": "-"})
            cells.append(f"{lengths['count']:>{width}}")
            for key in ("median", "p90", "max"):
                cells.append(f"{lengths.get(key, '-'):>6}")
        print("".join(cells))


def print_longest(measures):
    whole = next(iter(measures.values()), {})
    for function in whole.get("longest", []):
        print(f"{function['lines']:5} lines  {function['where']}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", nargs="*", type=pathlib.Path,
                        default=[PROJECT / "src"])
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--longest", type=int, default=5, metavar="N",
                        help="name the N longest functions (default 5)")
    arguments = parser.parse_args()
    missing = [path for path in arguments.directory if not path.is_dir()]
    if missing:
        print(f"measure_code.py: no such directory: {missing[0]}",
              file=sys.stderr)
        return 66

    ctags = find_ctags()
    measures = {}
    for directory in arguments.directory:
        for folder in folders_of(directory):
            name = folder.resolve()
            if name.is_relative_to(PROJECT.resolve()):
                name = name.relative_to(PROJECT.resolve())
            measures[str(name)] = measure(folder, ctags, arguments.longest)
    if arguments.json:
        print(json.dumps({"version": 1, "folders": measures}, indent=2))
        return 0
    print_table(measures)
    print_longest(measures)
    if not ctags:
        print("functions are not measured: universal-ctags is not installed",
              file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
