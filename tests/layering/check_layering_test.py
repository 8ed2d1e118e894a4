"""Tiny trees, each with one fault that tools/check_layering.py must find."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).parents[2]

TABLE = """\
# floor
@floor = base
base proto:
text model: @floor
server: base proto text model/plan.   # one header of model
fence torch/ ATen/: model !*.cu
fence ffi.h text/ffi.h: text/*.cc
fence grpc *.grpc.pb.h: server
fence spdlog/: base/log.cc
fence cuda: base/cuda_log.cc *.cu and the .cc beside them in model
"""

# A tree without a fault: path below src -> text.
SOUND = {
    "layers.txt": TABLE,
    "base/log.h": "#pragma once\n",
    "base/log.cc": '#include "base/log.h"\n#include "spdlog/logger.h"\n',
    "text/ffi.h": "",
    "text/text.h": '#include "base/log.h"\n',
    "text/text.cc": '#include "text/ffi.h"\n#include "text.h"\n',
    "model/model.cc": "#include <torch/types.h>\n",
    "model/plan.h": "#include <vector>\n",
    "model/rows.cu": "#include <cuda_runtime.h>\n",
    "model/rows.cc": "#include <cuda_runtime.h>\n",
    "model/rows_launch.cc": '  #  include "cuda.h"\n',
    "server/server.cc": '#include "model/plan.h"\n#include "grpcpp/grpcpp.h"\n'
                        '#include "varalign/v1/x.grpc.pb.h"\n'
                        '#include "varalign/v1/x.pb.h"\n',
    "base/cuda_log.cc": "#include <cuda.h>\n",
    "base/CMakeLists.txt": "varalign_library(NAME base SRCS log.cc HDRS log.h)",
    "text/CMakeLists.txt": "varalign_library(NAME text SRCS text.cc\n"
                           "  DEPS varalign::base)",
    "model/CMakeLists.txt":
        "varalign_library(NAME plan HDRS plan.h)\n"
        "varalign_library(NAME model SRCS model.cc\n"
        "  DEPS varalign::torch varalign::plan)",
    "server/CMakeLists.txt":
        "# never varalign::model\n"
        "if(TARGET varalign::model)\nendif()\n"
        "varalign_binary(NAME server SRCS server.cc\n"
        "  DEPS varalign::plan varalign::text varalign::x_proto)",
}


def run_checker(root):
    result = subprocess.run(
        [sys.executable, PROJECT / "tools" / "check_layering.py", root],
        capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stdout


class CheckLayeringTest(unittest.TestCase):

    def check(self, changes):
        """Exit status and output for the sound tree with `changes` to it."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in (SOUND | changes).items():
                file = pathlib.Path(root) / "src" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return run_checker(root)

    def expect_breach(self, changes, *parts):
        status, output = self.check(changes)
        self.assertEqual(status, 1, output)
        self.assertIn(" 1 breaches", output)
        for part in parts:
            self.assertIn(part, output)

    def test_sound_tree_passes(self):
        status, output = self.check({})
        self.assertEqual(status, 0, output)
        self.assertIn("0 breaches", output)

    def test_forbidden_include(self):
        self.expect_breach(
            {"text/text.cc": '\n#include "model/plan.h"\n'},
            "src/text/text.cc:2:", '"model/plan.h"', "only base")

    def test_forbidden_include_by_a_relative_path(self):
        self.expect_breach({"text/text.cc": '#include "../model/plan.h"\n'},
                           "src/text/text.cc:1:", '"model/plan.h"')

    def test_only_the_named_header_of_a_folder(self):
        self.expect_breach(
            {"server/server.cc": '#include "model/model.h"\n',
             "model/model.h": ""},
            "src/server/server.cc:1:", '"model/model.h"')

    def test_generated_code_is_a_target(self):
        self.expect_breach({"text/text.cc": '#include "varalign/v1/x.pb.h"\n'},
                           "src/text/text.cc:1:", "x.pb.h")

    def test_fence_breach(self):
        self.expect_breach({"text/text.cc": "#include <ATen/ATen.h>\n"},
                           "src/text/text.cc:1:", "src/layers.txt:6")

    def test_fence_around_one_file(self):
        self.expect_breach({"base/log.h": '#include "spdlog/logger.h"\n'},
                           "src/base/log.h:1:", "src/layers.txt:9")

    def test_fence_around_a_header_of_the_project(self):
        self.expect_breach({"text/text.h": '#include "text/ffi.h"\n'},
                           "src/text/text.h:1:", "src/layers.txt:7")

    def test_exclusion_beats_the_folder(self):
        self.expect_breach({"model/rows.cu": "#include <torch/types.h>\n"},
                           "src/model/rows.cu:1:", "src/layers.txt:6")

    def test_beside_means_the_same_stem(self):
        self.expect_breach({"model/model.cc": "#include <cuda_runtime.h>\n"},
                           "src/model/model.cc:1:", "src/layers.txt:10")

    def test_beside_holds_only_in_its_folders(self):
        self.expect_breach({"text/kernel.cu": "#include <cuda.h>\n"},
                           "src/text/kernel.cu:1:", "src/layers.txt:10")

    def test_cycle_in_the_table(self):
        self.expect_breach(
            {"layers.txt": TABLE.replace("base proto:\n",
                                         "base: server\nproto:\n")},
            "src/layers.txt:3: cycle base -> server -> base")

    def test_folder_without_a_row(self):
        self.expect_breach({"extra/x.cc": ""}, "src/extra/x.cc:1: no row")

    def test_cmake_links_what_the_row_forbids(self):
        self.expect_breach(
            {"text/CMakeLists.txt":
                 "varalign_library(NAME text SRCS text.cc\n"
                 "  DEPS varalign::base\n  PRIVATE_DEPS varalign::model)"},
            "src/text/CMakeLists.txt:3: text links varalign::model")

    def test_cmake_links_more_of_a_folder_than_the_named_header(self):
        self.expect_breach(
            {"server/CMakeLists.txt":
                 "varalign_binary(NAME server DEPS varalign::model)"},
            "src/server/CMakeLists.txt:1:")

    def test_cmake_links_generated_code(self):
        self.expect_breach(
            {"text/CMakeLists.txt":
                 "varalign_library(NAME text SRCS text.cc\n"
                 "  DEPS varalign::base)\n"
                 "varalign_library(NAME y DEPS varalign::x_proto)"},
            "src/text/CMakeLists.txt:3:")

    def test_unreadable_table(self):
        for line, reason in [("nonsense", "neither"),
                             ("tool: @none", "no such group: @none"),
                             ("tool: none", "no row of target none"),
                             ("text: base", "a second row of target text")]:
            with self.subTest(line):
                self.expect_breach({"layers.txt": TABLE + line + "\n"},
                                   "src/layers.txt:11:", reason)


class ProjectTest(unittest.TestCase):

    def test_project_keeps_to_its_layers(self):
        status, output = run_checker(PROJECT)
        self.assertEqual(status, 0, output)


if __name__ == "__main__":
    unittest.main()
