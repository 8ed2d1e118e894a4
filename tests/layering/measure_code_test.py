"""tools/measure_code.py on a directory whose lengths are known."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = pathlib.Path(__file__).parents[2] / "tools" / "measure_code.py"


def run(*arguments):
    return subprocess.run([sys.executable, PROGRAM, *arguments],
                          capture_output=True, text=True, timeout=60,
                          check=False)


class MeasureCodeTest(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        for folder, name, num_lines in [("a", "x.cc", 1), ("a", "y.h", 3),
                                        ("a/in", "z.cc", 10), ("b", "k.cu", 7),
                                        ("docs", "page.md", 99)]:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            (self.root / folder / name).write_text("// line\n" * num_lines)

    def measure(self):
        result = run("--json", self.root)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["folders"]

    def test_lengths_of_files_per_folder(self):
        folders = self.measure()
        whole, a, b = (folders[str(self.root / name)]["files"]
                       for name in ("", "a", "b"))
        self.assertEqual(a, {"count": 3, "median": 3, "p90": 10, "max": 10})
        self.assertEqual(b, {"count": 1, "median": 7, "p90": 7, "max": 7})
        self.assertEqual(whole["count"], 4)
        self.assertEqual(whole["median"], 5)
        self.assertNotIn(str(self.root / "docs"), folders)

    @unittest.skipUnless(shutil.which("ctags"), "universal-ctags is missing")
    def test_lengths_of_functions(self):
        (self.root / "b" / "f.cc").write_text(
            "int One() { return 1; }\n\nint Declared();\n\n"
            "int Five(int x) {\n  if (x) {\n    x = 2;\n  }\n  return x; }\n")
        b = self.measure()[str(self.root / "b")]
        self.assertEqual(b["functions"],
                         {"count": 2, "median": 3, "p90": 5, "max": 5})
        self.assertIn("f.cc:5 Five", b["longest"][0]["where"])

    def test_missing_directory_is_an_error(self):
        result = run(self.root / "none")
        self.assertEqual(result.returncode, 66)
        self.assertIn("no such directory", result.stderr)


if __name__ == "__main__":
    unittest.main()
