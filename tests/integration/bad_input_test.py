"""Wrong input of every kind: one clear line, the right exit code, nothing
half-written."""
import gzip
import json
import os
import shutil
import socket
import struct
import subprocess
import unittest

import harness
from harness import WORLD


class BadInputTest(harness.ServiceTest):
    def expect(self, process, code, *words):
        """One line that holds `words`, the code, and no stack of noise."""
        text = process.stderr
        self.assertEqual(process.returncode, code, text + process.stdout)
        for word in words:
            self.assertIn(word, text)
        self.assertNotIn("Traceback", text)
        self.assertNotIn("terminate called", text)
        errors = [line for line in text.splitlines()
                  if line.startswith("varalign")]
        self.assertEqual(len(errors), 1, text)

    def train(self, config, *arguments):
        return harness.varalign("train", config, "--out",
                                self.directory / "out" / "run", *arguments)

    def copy_world(self, part):
        target = self.directory / part
        shutil.copytree(WORLD / part, target)
        return target


class CommandLineTest(BadInputTest):
    def test_an_unknown_verb_gets_the_nearest_one(self):
        self.expect(harness.varalign("trian"), 64, "trian", "train")

    def test_an_unknown_verb_below_a_verb_gets_the_nearest_one(self):
        self.expect(harness.varalign("data", "inspekt", "x"), 64,
                    "'data inspekt'", "'data inspect'")
        self.expect(harness.varalign("world", "mak"), 64, "'world make'")

    def test_an_unknown_flag_gets_the_nearest_one(self):
        self.expect(harness.varalign("train", "x.yaml", "--wrkers", 2), 64,
                    "--wrkers", "'--workers'")

    def test_a_flag_that_is_a_key_of_the_configuration(self):
        self.expect(harness.varalign("train", "x.yaml", "--max-steps", 5), 64,
                    "--set train.max_steps=VALUE")

    def test_a_number_out_of_range_is_told_in_few_words(self):
        process = harness.varalign("generate", "--model", WORLD / "policy",
                                   "--prompt", "x", "--temperature", -1)
        self.expect(process, 64, "--temperature", "got -1")
        self.assertLess(len(process.stderr), 150)

    def test_an_empty_prompt(self):
        self.expect(harness.varalign("generate", "--model", WORLD / "policy",
                                     "--prompt", ""), 64, "empty")

    def test_a_model_that_is_not_there(self):
        ids = self.write("ids.jsonl", "{}\n")
        for words in (("generate", "--prompt", "x", "--model"),
                      ("prepare", "--in", ids, "--out",
                       self.directory / "data", "--model"),
                      ("tokenize", "--in", ids, "--model"),
                      ("data", "inspect", ids, "--model"),
                      ("score", "--in", ids, "--out", "-", "--policy")):
            self.expect(harness.varalign(*words, "/nonexistent/model"), 66,
                        f"{words[-1]}: ", "/nonexistent/model")

    def test_a_run_is_no_model_but_has_one(self):
        shutil.copytree(WORLD / "policy", self.directory / "run" / "model")
        self.expect(harness.varalign("generate", "--model",
                                     self.directory / "run", "--prompt", "x"),
                    66, f"did you mean {self.directory / 'run' / 'model'}?")

    def test_a_missing_argument_is_usage(self):
        self.expect(harness.varalign("prepare"), 64)

    def test_an_unreachable_coordinator_is_named(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            target = f"127.0.0.1:{free.getsockname()[1]}"
        self.expect(harness.varalign("list", "--coordinator", target), 69,
                    target, "coordinator")

    def test_a_malformed_address_is_named(self):
        process = harness.varalign("list", "--coordinator", "nowhere")
        self.assertIn(process.returncode, (64, 65), process.stderr)
        self.assertIn("nowhere", process.stderr)


class ConfigurationTest(BadInputTest):
    def config_error(self, text, *words, lines=1):
        path = self.write("run.yaml", text)
        process = harness.varalign("train", path)
        self.assertEqual(process.returncode, 78, process.stderr)
        for word in words:
            self.assertIn(word, process.stderr)

    def test_a_missing_file(self):
        self.expect(harness.varalign("train", "/nonexistent/run.yaml"), 66,
                    "/nonexistent/run.yaml")

    def test_an_unknown_key_with_its_place_and_the_nearest_key(self):
        self.config_error("train:\n  learning_rte: 1\n", ":2:3:",
                          "learning_rte", "learning_rate")

    def test_a_value_out_of_range(self):
        self.config_error("objective:\n  lambda: 0\n", ":2:", "objective.lambda",
                          "> 0")

    def test_all_errors_at_once(self):
        self.config_error("objective: {lambda: -1}\ntrain: {epochs: none}\n",
                          "objective.lambda", "train.epochs")

    def test_a_cyclic_document(self):
        self.config_error("name: &a [*a]\n", "anchors")

    def test_an_alias_bomb(self):
        bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        for i in range(1, 12):
            inner = ",".join([f"*a{i - 1}"] * 9)
            bomb += f"a{i}: &a{i} [{inner}]\n"
        self.config_error(bomb, "anchors")

    def test_a_huge_file(self):
        self.config_error("name: " + "x" * (2 << 20), "1048576 bytes")

    def test_a_batch_that_is_no_whole_number_of_blocks(self):
        path = self.world_config(train={"global_batch": 60},
                                 objective={"z": {"block": 16}})
        process = harness.varalign("train", path)
        self.assertEqual(process.returncode, 78, process.stderr)
        self.assertIn("global_batch", process.stderr)

    def test_a_missing_model(self):
        path = self.world_config(model={"path": "/nonexistent/model"})
        self.expect(self.train(path), 66, "/nonexistent/model")

    def test_a_missing_data_set(self):
        path = self.world_config(data={"path": "/nonexistent/data"})
        self.expect(self.train(path), 66, "/nonexistent/data", "prepare")

    def test_an_objective_without_rewards(self):
        config = json.loads(self.world_config().read_text())
        del config["reward"]
        path = self.write("no_reward.yaml", json.dumps(config))
        self.expect(self.train(path), 78, "reward.path")


class DamagedFileTest(BadInputTest):
    """Files that lie: the run fails with the file's name, and leaves no model."""

    def run_fails(self, config, code, *words):
        process = self.train(config)
        self.assertEqual(process.returncode, code,
                         process.stderr + process.stdout)
        for word in words:
            self.assertIn(word, process.stderr)
        model = self.directory / "out" / "run" / "model"
        self.assertFalse(model.exists() or model.is_symlink())
        checkpoints = self.directory / "out" / "run" / "checkpoints"
        if checkpoints.exists():
            self.assertEqual(list(checkpoints.iterdir()), [])

    def test_a_truncated_model(self):
        policy = self.copy_world("policy")
        file = policy / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
        self.run_fails(self.world_config(model={"path": str(policy)}), 65,
                       "model.safetensors")
        # A start that failed leaves nothing: no run has come of it.
        self.assertFalse((self.directory / "out" / ".run.service").exists())

    def test_a_tensor_of_another_shape(self):
        policy = self.copy_world("policy")
        config = json.loads((policy / "config.json").read_text())
        config["intermediate_size"] = 96
        (policy / "config.json").write_text(json.dumps(config))
        self.run_fails(self.world_config(model={"path": str(policy)}), 65,
                       "mlp")

    def test_a_model_family_that_is_not_supported(self):
        policy = self.copy_world("policy")
        config = json.loads((policy / "config.json").read_text())
        config["model_type"] = "mamba"
        config["architectures"] = ["MambaForCausalLM"]
        (policy / "config.json").write_text(json.dumps(config))
        self.run_fails(self.world_config(model={"path": str(policy)}), 65,
                       "mamba")

    def test_a_flipped_byte_in_a_shard(self):
        data = self.copy_world("data")
        shard = next(data.glob("shard-*.safetensors"))
        content = bytearray(shard.read_bytes())
        content[-1] ^= 1
        shard.write_bytes(content)
        self.run_fails(self.world_config(data={"path": str(data)}), 65,
                       shard.name)

    def test_a_reward_model_that_answers_nan(self):
        reward = self.copy_world("reward")
        self.overwrite_tensor(reward / "model.safetensors", "score.weight",
                              float("nan"))
        self.run_fails(self.world_config(reward={"path": str(reward)}), 65,
                       "not finite")

    def overwrite_tensor(self, path, name, value):
        content = bytearray(path.read_bytes())
        header_size, = struct.unpack("<Q", content[:8])
        entry = json.loads(content[8:8 + header_size])[name]
        begin, end = entry["data_offsets"]
        start = 8 + header_size
        content[start + begin:start + end] = (
            struct.pack("<f", value) * ((end - begin) // 4))
        path.write_bytes(content)

    def test_data_made_for_another_vocabulary(self):
        data = self.copy_world("data")
        policy = self.copy_world("policy")
        tokenizer = json.loads((policy / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"]["extra"] = 26
        (policy / "tokenizer.json").write_text(json.dumps(tokenizer))
        process = self.train(self.world_config(
            data={"path": str(data)}, model={"path": str(policy)}))
        self.assertIn(process.returncode, (65, 78), process.stderr)
        self.assertIn("tokenizer", process.stderr)


class CheckpointFileTest(BadInputTest):
    """Checkpoints that are no model: one line that says what is wrong with
    them, and no run."""

    def setUp(self):
        super().setUp()
        self.policy = self.copy_world("policy")
        self.file = self.policy / "model.safetensors"
        content = self.file.read_bytes()
        size, = struct.unpack("<Q", content[:8])
        self.header = json.loads(content[8:8 + size])
        self.names = sorted(set(self.header) - {"__metadata__"})
        self.tensors = content[8 + size:]

    def write_header(self):
        header = json.dumps(self.header).encode()
        self.file.write_bytes(
            struct.pack("<Q", len(header)) + header + self.tensors)

    def refused(self, code, *words):
        self.expect(harness.varalign("generate", "--model", self.policy,
                                     "--prompt", "x"), code, *words)
        process = self.train(
            self.world_config(model={"path": str(self.policy)}))
        self.assertEqual(process.returncode, code, process.stderr)
        for word in words:
            self.assertIn(word, process.stderr)
        self.assertEqual(list((self.directory / "out").iterdir()), [])

    def test_tensors_that_overlap(self):
        norms = [name for name in self.names if "layernorm" in name]
        self.header[norms[1]]["data_offsets"] = (
            self.header[norms[0]]["data_offsets"])
        self.write_header()
        self.refused(65, "malformed safetensors: overlap", "layernorm")

    def test_tensors_of_whole_numbers(self):
        for name in self.names[:2]:
            self.header[name]["dtype"] = "I32"
        self.write_header()
        self.refused(65, "2 not floating point", *self.names[:2])

    def test_a_dtype_that_is_not_known(self):
        self.header[self.names[0]]["dtype"] = "F99"
        self.write_header()
        self.refused(65, 'unknown dtype "F99"', self.names[0])

    def test_all_missing_and_all_unknown_names_at_once(self):
        for name in self.names[:3]:
            self.header["wrong." + name] = self.header.pop(name)
        self.write_header()
        self.refused(65, "3 missing: ", "; 3 unknown: ", *self.names[:3],
                     *("wrong." + name for name in self.names[:3]))

    def test_an_index_that_points_elsewhere(self):
        shard = "model-00001-of-00001.safetensors"
        self.file.rename(self.policy / shard)
        for target, code in (("../policy/model.safetensors", 65),
                             ("/etc/passwd", 65),
                             ("model-00009.safetensors", 66)):
            weights = dict.fromkeys(self.names, shard)
            weights[self.names[0]] = target
            (self.policy / "model.safetensors.index.json").write_text(
                json.dumps({"metadata": {}, "weight_map": weights}))
            self.refused(code, target)

    def test_rows_longer_than_the_model_allows(self):
        config = json.loads((self.policy / "config.json").read_text())
        config["max_position_embeddings"] = 4
        (self.policy / "config.json").write_text(json.dumps(config))
        process = self.train(
            self.world_config(model={"path": str(self.policy)}))
        self.expect(process, 65, "data.path", "the model's 4 positions",
                    "prepare it again")
        self.assertFalse((self.directory / "out" / "run").exists())
        data = self.directory / "data"
        self.expect(harness.varalign(
            "prepare", "--model", self.policy, "--in", WORLD / "train.jsonl",
            "--out", data), 65, "too long for 4 tokens")
        self.assertFalse(data.exists())
        self.expect(harness.varalign(
            "generate", "--model", self.policy, "--prompt",
            "mia is tired tea tea"), 65, "4 positions")

    def test_a_token_beyond_the_models_vocabulary(self):
        file = self.policy / "tokenizer.json"
        tokenizer = json.loads(file.read_text())
        tokenizer["model"]["vocab"]["tea"] = 9999
        file.write_text(json.dumps(tokenizer))
        data = self.directory / "data"
        self.expect(harness.varalign(
            "prepare", "--model", self.policy, "--in", WORLD / "train.jsonl",
            "--out", data), 65, "beyond the model's vocabulary of 26: 9999")
        self.assertFalse(data.exists())

    def test_a_chat_template_that_fails_names_its_line(self):
        file = self.policy / "tokenizer_config.json"
        config = json.loads(file.read_text()) if file.exists() else {}
        turns = [{"role": "user", "content": "a"}]
        rows = self.write("rows.jsonl", json.dumps(
            {"chosen": turns + [{"role": "assistant", "content": "b"}],
             "rejected": turns + [{"role": "assistant", "content": "c"}]}))
        data = self.directory / "data"
        for template, word in (
                ("{% for m in messages %}\n{% endfo %}", "endfo"),
                ("a\n{{ messages[0].content.nope() }}", "nope"),
                ("a\n{{ raise_exception('must alternate') }}",
                 "must alternate")):
            config["chat_template"] = template
            file.write_text(json.dumps(config))
            self.expect(harness.varalign(
                "prepare", "--model", self.policy, "--in", rows, "--out",
                data), 65, "chat template: ", word, "chat_template:2")
            self.assertFalse(data.exists())


class PrepareTest(BadInputTest):
    def prepare(self, path, *arguments):
        process = harness.varalign(
            "prepare", "--model", WORLD / "policy", "--in", path, "--out",
            self.directory / "data", *arguments)
        self.assertFalse((self.directory / "data" / "MANIFEST.json").exists())
        return process

    def test_a_missing_file(self):
        self.expect(self.prepare("/nonexistent.jsonl"), 66,
                    "/nonexistent.jsonl")

    def test_an_empty_file(self):
        self.expect(self.prepare(self.write("e.jsonl", "")), 65, "e.jsonl")

    def test_a_file_that_is_no_json(self):
        self.expect(self.prepare(self.write("x.jsonl", "hello\nworld\n")), 65,
                    "x.jsonl")

    def test_rows_without_a_field_that_is_known(self):
        self.expect(self.prepare(self.write("f.jsonl", '{"foo": 1}\n')), 65,
                    "f.jsonl")

    def test_a_cut_gzip(self):
        path = self.directory / "cut.jsonl.gz"
        path.write_bytes(gzip.compress(b'{"text": "mia is tired"}\n' * 500)[:-9])
        self.expect(self.prepare(path), 65, "cut.jsonl.gz")

    def test_invalid_utf8(self):
        path = self.directory / "u.jsonl"
        path.write_bytes(b'{"chosen": "\xff\xfe", "rejected": "a"}\n')
        self.expect(self.prepare(path), 65, "u.jsonl")

    def test_nan_rewards(self):
        row = ('{"messages": [{"role": "user", "content": "mia is tired"}], '
               '"responses": ["tea", "nap"], "rewards": [NaN, 1]}\n')
        self.expect(self.prepare(self.write("n.jsonl", row)), 65, "n.jsonl")

    def test_a_directory_without_a_tokenizer(self):
        path = self.write("ok.jsonl", '{"messages": []}\n')
        (self.directory / "empty").mkdir()
        self.expect(harness.varalign(
            "prepare", "--model", self.directory / "empty", "--in", path,
            "--out", self.directory / "data"), 66, "tokenizer.json")

    def test_a_damaged_tokenizer(self):
        policy = self.copy_world("policy")
        (policy / "tokenizer.json").write_text("{}")
        path = self.write("ok.jsonl", '{"messages": []}\n')
        self.expect(harness.varalign(
            "prepare", "--model", policy, "--in", path, "--out",
            self.directory / "data"), 65, "tokenizer.json")


class ServerTest(BadInputTest):
    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            process = subprocess.run(
                [harness.BIN / "varalign-coordinator", "--listen", address,
                 "--state", self.directory / "state"],
                capture_output=True, text=True, timeout=20)
        self.assertEqual(process.returncode, 69, process.stderr)
        self.assertIn(address, process.stderr)
        self.assertIn("in use", process.stderr)

    def test_a_listener_off_loopback_is_refused(self):
        process = subprocess.run(
            [harness.BIN / "varalign-coordinator", "--listen", "0.0.0.0:0",
             "--state", self.directory / "state"],
            capture_output=True, text=True, timeout=20)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("loopback", process.stderr)

    def test_a_reward_model_with_two_labels(self):
        reward = self.copy_world("reward")
        config = json.loads((reward / "config.json").read_text())
        config["num_labels"] = 2
        config["id2label"] = {"0": "a", "1": "b"}
        (reward / "config.json").write_text(json.dumps(config))
        process = subprocess.run(
            [harness.BIN / "varalign-reward-server", "--reward", reward],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(process.returncode, 65, process.stderr)
        self.assertIn("label", process.stderr)

    def test_a_reward_server_without_a_port(self):
        process = subprocess.run(
            [harness.BIN / "varalign-worker", "--coordinator", "127.0.0.1:1",
             "--reward-server", "foo"],
            capture_output=True, text=True, timeout=60)
        self.assertEqual(process.returncode, 64, process.stderr)
        self.assertIn("--reward-server: not an address", process.stderr)

    def test_a_worker_that_waits_for_its_coordinator_says_so(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        worker = subprocess.Popen(
            [harness.BIN / "varalign-worker", "--coordinator", address],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.addCleanup(worker.communicate)
        self.addCleanup(worker.kill)
        line = worker.stderr.readline()
        self.assertIn("waiting_for_coordinator", line)
        self.assertIn(address, line)
        self.assertIsNone(worker.poll())

    def test_a_run_directory_that_cannot_be_made(self):
        for place in ("/proc/nowhere", "/proc/nowhere/run"):
            self.expect(harness.varalign("train", self.world_config(),
                                         "--out", place), 73, "/proc")

    def test_a_reward_server_that_never_answers(self):
        self.service.start_coordinator()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.service.reward_server = (
                f"127.0.0.1:{free.getsockname()[1]}")
        self.service.start_workers(2)
        run_id = self.service.submit(self.world_config(
            scoring={"timeout": "3s"}))["run_id"]
        run = self.service.wait_for(run_id, timeout=60)
        self.assertEqual(run["state"], "FAILED")
        self.assertEqual(run["exit_code"], 69, run["reason"])
        self.assertIn("reward server", run["reason"])


class DiskTest(BadInputTest):
    def mount(self, size, disk=None, mode="rw"):
        disk = disk or self.directory / "disk"
        disk.mkdir(exist_ok=True)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},{mode}", "none", disk],
            capture_output=True)
        if mounted.returncode != 0:
            raise unittest.SkipTest("this user cannot mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", disk])
        return disk

    def test_a_full_disk_fails_the_run_and_leaves_no_half_checkpoint(self):
        disk = self.mount("700k")
        process = harness.varalign("train", self.world_config(), "--out",
                                   disk / "run")
        self.assertEqual(process.returncode, 74,
                         process.stderr + process.stdout)
        self.assertIn("make room", process.stderr)
        leftovers = [path for path in (disk / "run").rglob("*.safetensors")]
        self.assertEqual(leftovers, [])

    def test_a_read_only_checkpoint_directory(self):
        run = self.directory / "run"
        config = self.world_config(train={"epochs": 40})
        process = subprocess.Popen(
            [harness.BIN / "varalign", "train", config, "--out", run],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        checkpoints = run / "checkpoints"
        harness.wait_until(
            lambda: checkpoints.exists() and any(
                name.startswith("step-") for name in os.listdir(checkpoints)),
            90, "a first checkpoint")
        self.mount("1m", checkpoints, "ro")
        _, errors = process.communicate(timeout=120)
        self.assertIn(process.returncode, (73, 74, 77), errors)
        self.assertIn("ead-only", errors)

    def test_prepare_on_a_full_disk_leaves_no_data_set(self):
        disk = self.mount("64k")
        process = harness.varalign(
            "prepare", "--model", WORLD / "policy", "--in",
            WORLD / "train.jsonl", "--out", disk / "data")
        if process.returncode == 0:  # the world's data set is small
            self.skipTest("the data set fits")
        self.expect(process, 74, "No space left")
        self.assertFalse((disk / "data" / "MANIFEST.json").exists())


harness.main(__name__)
