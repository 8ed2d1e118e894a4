#!/usr/bin/env python3
"""Checks that src keeps to its layers: check_layering.py [ROOT].

Reads ROOT/src/layers.txt, every #include below ROOT/src and every varalign::x
that a CMakeLists.txt there links. Prints FILE:LINE: REASON for each breach and
exits 1 if there is one.

The table, one rule a line, `#` begins a comment:

  @group = NAME...          a short name for several targets
  TARGET...: ALLOWED...     what the files of these targets may include besides
                            their own; TARGET is a folder of src, or `proto`,
                            the generated code. ALLOWED is a target, a @group,
                            or folder/prefix: only headers that begin so
  fence HEADER...: PLACE... the only places that may include these headers.
                            HEADER is a prefix, or a pattern with `*`. PLACE is
                            a folder, a prefix of a path, a pattern with `*`,
                            or `!` and one of these: not there, whatever else
  fence HEADER...: PLACE... PATTERN and the .cc beside them in FOLDER...
                            also the files of PATTERN in these folders, and
                            .cc files of the same directory and stem (foo.cu:
                            foo.cc, foo_x.cc)
"""
import argparse
import dataclasses
import fnmatch
import pathlib
import re
import sys

SOURCE_SUFFIXES = {".h", ".cc", ".cu", ".cuh"}
INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')
BESIDE = re.compile(r"(.*?)(\S+) and the (\.\w+) beside them in (.+)")


@dataclasses.dataclass
class Row:
    line: int
    allowed: list[str]


@dataclasses.dataclass
class Beside:
    pattern: str
    suffix: str
    places: list[str]


@dataclasses.dataclass
class Fence:
    line: int
    headers: list[str]
    places: list[str]
    beside: Beside | None = None


@dataclasses.dataclass
class Table:
    rows: dict[str, Row] = dataclasses.field(default_factory=dict)
    fences: list[Fence] = dataclasses.field(default_factory=list)


class TableError(Exception):
    """A line of the table that cannot be read: (line number, reason)."""


def read_table(text):
    table = Table()
    groups = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.startswith("@") and "=" in line:
            name, members = line.split("=", 1)
            groups[name.strip()] = members.split()
        elif ":" not in line:
            raise TableError(number, f"neither a group, a row nor a fence: {line}")
        elif line.startswith("fence "):
            table.fences.append(read_fence(number, line))
        else:
            read_row(number, line, groups, table)
    check_names(table)
    return table


def read_row(number, line, groups, table):
    targets, allowed = line.split(":", 1)
    expanded = []
    for word in allowed.split():
        if word.startswith("@") and word not in groups:
            raise TableError(number, f"no such group: {word}")
        expanded += groups.get(word, [word])
    for target in targets.split():
        if target in table.rows:
            raise TableError(number, f"a second row of target {target}")
        table.rows[target] = Row(number, expanded)


def read_fence(number, line):
    headers, places = line.removeprefix("fence ").split(":", 1)
    phrase = BESIDE.fullmatch(places.strip())
    if phrase:
        return Fence(number, headers.split(), phrase[1].split(),
                     Beside(phrase[2], phrase[3], phrase[4].split()))
    return Fence(number, headers.split(), places.split())


def check_names(table):
    for row in table.rows.values():
        for word in row.allowed:
            if word.split("/")[0] not in table.rows:
                raise TableError(row.line, f"no row of target {word}")


def find_cycle(table):
    """The targets of a cycle, first one repeated at its end; None if none."""
    done = set()

    def visit(target, path):
        if target in path:
            return path[path.index(target):] + [target]
        if target in done:
            return None
        for word in table.rows[target].allowed:
            cycle = visit(word.split("/")[0], path + [target])
            if cycle:
                return cycle
        done.add(target)
        return None

    for target in table.rows:
        cycle = visit(target, [])
        if cycle:
            return cycle
    return None


def matches(pattern, path):
    if "*" in pattern:
        return fnmatch.fnmatchcase(path, pattern)
    return path.startswith(pattern)


def in_place(place, path, table):
    if place in table.rows:
        return path.startswith(place + "/")
    return matches(place, path)


class Tree:
    """The files of src, by their paths relative to it."""

    def __init__(self, root):
        self.root = root
        self.src = root / "src"
        self.files = sorted(
            path.relative_to(self.src).as_posix()
            for path in self.src.rglob("*")
            if path.suffix in SOURCE_SUFFIXES and path.is_file())
        self.known = set(self.files)

    def includes(self, path):
        """(line number, header) of each #include of a file."""
        text = (self.src / path).read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if found:
                yield number, self.resolve(path, found[1])

    def resolve(self, path, header):
        """A header of src as its path there, any other as it is written."""
        beside = (self.src / path).parent / header
        for candidate in (self.src / header, beside):
            resolved = candidate.resolve()
            if resolved.is_relative_to(self.src.resolve()):
                relative = resolved.relative_to(self.src.resolve()).as_posix()
                if relative in self.known:
                    return relative
        return header


def target_of(header, tree):
    """The target that a header belongs to; None: outside the project."""
    if header in tree.known:
        return header.split("/")[0]
    if header.startswith("varalign/v1/"):
        return "proto"
    return None


def may_include(target, header, header_target, table):
    if header_target == target:
        return True
    return any(word == header_target or ("/" in word and header.startswith(word))
               for word in table.rows[target].allowed)


def fence_admits(fence, path, table, tree):
    if any(in_place(place[1:], path, table)
           for place in fence.places if place.startswith("!")):
        return False
    if any(in_place(place, path, table) for place in fence.places):
        return True
    return fence.beside is not None and beside_admits(fence.beside, path, table,
                                                      tree)


def beside_admits(beside, path, table, tree):
    if not any(in_place(place, path, table) for place in beside.places):
        return False
    if matches(beside.pattern, path):
        return True
    if not path.endswith(beside.suffix):
        return False
    directory, _, name = path.rpartition("/")
    for other in tree.files:
        other_directory, _, other_name = other.rpartition("/")
        stem = other_name.rsplit(".", 1)[0]
        if (matches(beside.pattern, other) and directory == other_directory
                and re.match(re.escape(stem) + r"[._]", name)):
            return True
    return False


def check_file(path, table, tree):
    target = path.split("/")[0]
    if target not in table.rows:
        yield f"src/{path}:1: no row of target {target} in src/layers.txt"
        return
    for number, header in tree.includes(path):
        where = f"src/{path}:{number}: "
        header_target = target_of(header, tree)
        if header_target and not may_include(target, header, header_target,
                                             table):
            allowed = " ".join(table.rows[target].allowed) or "nothing"
            yield (f"{where}{target} includes \"{header}\", but may include "
                   f"only {allowed}")
        for fence in table.fences:
            if any(matches(fenced, header) for fenced in fence.headers) and (
                    not fence_admits(fence, path, table, tree)):
                yield (f"{where}\"{header}\" is fenced by "
                       f"src/layers.txt:{fence.line}")


# CMake.


@dataclasses.dataclass
class Library:
    folder: str
    files: list[str]


def without_comments(text):
    return "\n".join(line.split("#")[0] for line in text.splitlines())


def read_libraries(tree):
    """Library name -> its folder and files, of all CMakeLists.txt in src."""
    libraries = {}
    call = re.compile(r"varalign_library\s*\(([^()]*)\)")
    for path in sorted(tree.src.rglob("CMakeLists.txt")):
        directory = path.parent.relative_to(tree.src)
        for arguments in call.findall(without_comments(path.read_text())):
            words = arguments.split()
            if "NAME" not in words:
                continue
            name = words[words.index("NAME") + 1]
            files = [(directory / word).as_posix() for word in words
                     if pathlib.Path(word).suffix in SOURCE_SUFFIXES]
            libraries[name] = Library(directory.parts[0], files)
    return libraries


def may_link(target, name, libraries, table):
    if name.endswith("_proto"):
        return target == "proto" or "proto" in table.rows[target].allowed
    library = libraries.get(name)
    if library is None or library.folder == target:
        return True  # an imported library, which the fences watch, or its own
    return library.folder in table.rows[target].allowed or any(
        may_include(target, file, library.folder, table)
        for file in library.files)


def check_cmake(table, tree):
    libraries = read_libraries(tree)
    for path in sorted(tree.src.rglob("CMakeLists.txt")):
        relative = path.relative_to(tree.src)
        target = relative.parts[0]
        if len(relative.parts) < 2 or target not in table.rows:
            continue
        lines = without_comments(path.read_text()).splitlines()
        for number, line in enumerate(lines, 1):
            for name in re.findall(r"varalign::(\w+)", line):
                asked = f"TARGET varalign::{name}"  # a question links nothing
                if asked not in line and not may_link(target, name, libraries,
                                                      table):
                    yield (f"src/{relative.as_posix()}:{number}: {target} links "
                           f"varalign::{name}, which its row in src/layers.txt "
                           "does not allow")


def check(root):
    """All breaches of the tree below `root`, as lines to print."""
    tree = Tree(root)
    try:
        table = read_table((tree.src / "layers.txt").read_text())
    except TableError as error:
        return [f"src/layers.txt:{error.args[0]}: {error.args[1]}"], tree
    breaches = []
    cycle = find_cycle(table)
    if cycle:
        line = table.rows[cycle[0]].line
        breaches.append(f"src/layers.txt:{line}: cycle {' -> '.join(cycle)}")
    for path in tree.files:
        breaches += check_file(path, table, tree)
    breaches += check_cmake(table, tree)
    return breaches, tree


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent.parent)
    breaches, tree = check(parser.parse_args().root)
    for breach in breaches:
        print(breach)
    print(f"{len(tree.files)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
