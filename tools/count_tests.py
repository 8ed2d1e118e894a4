#!/usr/bin/env python3
"""Counts test cases after ctest: count_tests.py REPORT_DIRECTORY.

ctest runs one entry a binary. A GoogleTest binary also leaves NAME.json with
its cases; where that is there, its cases count, else the entry counts as one.
A binary that failed without a failed case (it crashed) counts as one failure.
Prints one line, "N passed, N failed[, N skipped]", and exits 1 on a failure.
"""
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


def main():
    directory = pathlib.Path(sys.argv[1])
    totals = [0, 0, 0]
    failures = []
    for entry in ElementTree.parse(directory / "ctest.xml").iter("testcase"):
        counts = count_entry(directory, entry)
        totals = [a + b for a, b in zip(totals, counts)]
        if counts[1]:
            failures.append(entry.get("name"))
    for name in failures:
        print(f"failed: {name}")
    line = f"{totals[0]} passed, {totals[1]} failed"
    if totals[2]:
        line += f", {totals[2]} skipped"
    print(line)
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
