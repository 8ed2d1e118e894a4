#!/usr/bin/env python3
"""Counts tests: count_tests.py [--rows FILE] [REPORT_DIRECTORY ...].

ctest runs one entry a binary. A GoogleTest binary also leaves NAME.json with
its cases; where that is there, its cases count, else the entry counts as one.
A binary that failed without a failed case (it crashed) counts as one failure.
FILE holds rows of tools/test that count as one each: NAME, a tab, and passed,
failed or skipped.
Prints one line, "N passed, N failed[, N skipped]", and exits 1 on a failure.
"""
import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def count_cases(report):
    passed = failed = skipped = 0
    for suite in json.loads(report.read_text()).get("testsuites", []):
        for case in suite.get("testsuite", []):
            if case.get("status") == "NOTRUN":
                continue
            if case.get("failures"):
                failed += 1
            elif case.get("result") == "SKIPPED":
                skipped += 1
            else:
                passed += 1
    return passed, failed, skipped


def count_entry(directory, entry):
    report = directory / (entry.get("name") + ".json")
    entry_failed = entry.get("status") == "fail"
    if report.exists():
        try:
            passed, failed, skipped = count_cases(report)
        except ValueError:
            return 0, 1, 0
        if entry_failed and failed == 0:
            failed = 1
        return passed, failed, skipped
    if entry_failed:
        return 0, 1, 0
    if entry.get("status") in ("notrun", "disabled"):
        return 0, 0, 1
    return 1, 0, 0


def count_directory(directory):
    """(name, counts) of each ctest entry; none where ctest did not run, which
    the row's own line then says."""
    report = directory / "ctest.xml"
    if not report.exists():
        return
    for entry in ElementTree.parse(report).iter("testcase"):
        name = entry.get("name")
        if directory.parent.name != "build":
            name = f"{directory.parent.name}: {name}"
        yield name, count_entry(directory, entry)


def count_rows(file):
    order = ("passed", "failed", "skipped")
    for line in file.read_text().splitlines():
        name, result = line.split("\t")
        yield f"row {name}", tuple(int(result == word) for word in order)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=pathlib.Path)
    parser.add_argument("directories", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    counted = []
    for directory in arguments.directories:
        counted += count_directory(directory)
    if arguments.rows and arguments.rows.exists():
        counted += count_rows(arguments.rows)
    totals = [sum(counts[i] for _, counts in counted) for i in range(3)]
    for name, counts in counted:
        if counts[1]:
            print(f"failed: {name}")
    line = f"{totals[0]} passed, {totals[1]} failed"
    if totals[2]:
        line += f", {totals[2]} skipped"
    print(line)
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
