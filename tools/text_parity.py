#!/usr/bin/env python3
"""Holds the text library against the reference: the Python packages `tokenizers`, Jinja2 and transformers.

  text_parity.py golden --data DATA [--out tests/golden/text]    make the committed files again
  text_parity.py check --varalign PROGRAM --data DATA [--strings 100000] [--seed 1]

DATA is a directory of test data: models/*/tokenizer.json, assets/qwen3-tokenizer, hh, assets/chat-templates. `check` encodes
fresh random texts with the program and with the reference, prints the first that differ, and ends with 1 if any does.
tests/golden/text/README.md describes the files; tests/text/parity_texts.cc makes the same texts.
"""
import argparse
import collections
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests/golden/text"
BLOCK = 1000  # texts under one hash
SEED, RANDOM_TEXTS, DECODED_TEXTS = 20250710, 40000, 5000
SHARED = {"stories260k": "models/stories260k", "smollm2": "models/smollm2-135m-instruct", "qwen3": "assets/qwen3-tokenizer"}
OURS = ("llama3", "metaspace", "unigram", "wordpiece")  # committed beside the hashes
MASK = (1 << 64) - 1

SPACES = [" ", "  ", " ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\n \n", " \t "]
PHRASES = ["'s", "'T", "n't", "I'LL", " the", " a", "https://", "==", "//", "--", "...", "</", "\u2581", "\u2581\u2581", "\ufeff"]
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "<0x0A>", "[CLS]", "<mask>"]
SCRIPTS = [(0x370, 0x90), (0x400, 0x100), (0x590, 0x70), (0x600, 0x100), (0x900, 0x80), (0xE00, 0x80), (0x1E00, 0x100), (0x2000, 0x70),
           (0x2190, 0x270), (0x3040, 0xC0), (0xAC00, 0x2BA4), (0xF900, 0x100), (0xFF00, 0x60), (0x1D400, 0x400), (0x1F300, 0x300)]


class Random:
    """splitmix64."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n


def code_point(rng):
    """Any character of any plane."""
    code = rng.below(17) * 0x10000 + rng.below(0x10000)
    return chr(code - 0x800 if 0xD800 <= code <= 0xDFFF else code)


def run(rng, low, count, length):
    return "".join(chr(low + rng.below(count)) for _ in range(length))


def emoji(rng):
    text = chr(0x1F600 + rng.below(0x50))
    for _ in range(rng.below(4)):
        text += ("\ufe0f" if rng.below(3) == 0 else "") + "\u200d" + chr(0x1F466 + rng.below(4))
    return text


def piece(rng):
    kind = rng.below(16)
    if kind < 3:
        return run(rng, 0x20, 0x5F, 1 + rng.below(8))
    if kind == 3:
        return SPACES[rng.below(len(SPACES))]
    if kind == 4:
        return run(rng, 0x61, 26, 1) + run(rng, 0x300, 0x70, 1 + rng.below(3))
    if kind == 5:
        return emoji(rng)
    if kind == 6:
        return code_point(rng)
    if kind == 7:
        return run(rng, 0x4E00, 0x5200, 1 + rng.below(4))
    if kind == 8:
        return run(rng, 0x1100, 0x100, 1 + rng.below(3))
    if kind == 9:
        return run(rng, 0xA0, 0x250, 1 + rng.below(4))
    if kind == 10:
        low, count = SCRIPTS[rng.below(len(SCRIPTS))]
        return run(rng, low, count, 1 + rng.below(4))
    if kind == 11:
        return run(rng, 0x30, 10, 1 + rng.below(6))
    if kind == 12:
        return PHRASES[rng.below(len(PHRASES))]
    if kind == 13:
        return SPECIAL[rng.below(len(SPECIAL))]
    return " " + run(rng, 0x61, 26, 2 + rng.below(7))


def random_text(seed, index):
    rng = Random(seed + index * 0xD1342543DE82EF95)
    return "".join(piece(rng) for _ in range(1 + rng.below(24)))


def json_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def hh_texts(data):
    for name in ("harmless-base", "helpful-base"):
        for row in json_lines(data / "hh" / f"{name}.test.jsonl.gz"):
            yield row["chosen"]
            yield row["rejected"]


def corpora(data):
    """Name -> texts, in the order of the hashes."""
    hh = list(hh_texts(data))
    alpaca = [r for row in json_lines(data / "alpaca_groups/train.jsonl.gz") for r in row["responses"]]
    pairs = [row[side] for name in ("evalbiasbench", "llmbar", "dpo_demo")
             for row in json_lines(data / f"assets/preference-pairs/{name}.jsonl.gz") for side in ("chosen", "rejected")]
    return {"hh": hh, "hh_turns": [turn for text in hh for turn in text.split("\n\n") if turn], "alpaca_groups": alpaca,
            "preference_pairs": pairs}


def reference(path):
    """The tokenizer of a directory, as transformers uses it: no truncation, no padding."""
    import tokenizers
    file = path / "tokenizer.json"
    text = file.read_text() if file.exists() else gzip.open(path / "tokenizer.json.gz", "rt", encoding="utf-8").read()
    tokenizer = tokenizers.Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def blocks(items):
    for i in range(0, len(items), BLOCK):
        yield items[i:i + BLOCK]


def short_hash(parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def ids_hashes(tokenizer, texts):
    """A hash for each block: of count and ids, 32 bits little-endian, text by text."""
    hashes = []
    for block in blocks(texts):
        encodings = tokenizer.encode_batch(block, add_special_tokens=False)
        hashes.append(short_hash(struct.pack(f"<{len(e.ids) + 1}I", len(e.ids), *e.ids) for e in encodings))
    return hashes


def text_hashes(tokenizer, texts):
    """A hash for each block: of what the ids of each text decode to, with NUL behind it."""
    hashes = []
    for block in blocks(texts):
        ids = [e.ids for e in tokenizer.encode_batch(block, add_special_tokens=True)]
        decoded = tokenizer.decode_batch(ids, skip_special_tokens=False)
        hashes.append(short_hash(text.encode() + b"\0" for text in decoded))
    return hashes


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, indent=1) + "\n")


def make_ids(data, out):
    import tokenizers
    texts = corpora(data)
    random = [random_text(SEED, i) for i in range(RANDOM_TEXTS)]
    golden = dict(made_with=dict(tokenizers=tokenizers.__version__), seed=SEED, block=BLOCK,
                  num_texts={"random": len(random), **{name: len(t) for name, t in texts.items()}}, tokenizers={})
    for name in (*OURS, *SHARED):
        path = out / name if name in OURS else data / SHARED[name]
        tokenizer = reference(path)
        ids = {"random": ids_hashes(tokenizer, random)}
        if name in SHARED:
            ids.update({corpus: ids_hashes(tokenizer, t) for corpus, t in texts.items()})
        golden["tokenizers"][name] = dict(path=None if name in OURS else SHARED[name], ids=ids,
                                          decoded=text_hashes(tokenizer, random[:DECODED_TEXTS]))
    write_json(out / "ids.json", golden)


def make_tokenizers(out):
    """Small ones of the kinds that the test data lacks, from the project's own pages."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    pages = [str(p) for p in sorted((ROOT / "docs").glob("*.md"))]
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

    def save(name, tokenizer):
        (out / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(out / name / "tokenizer.json"), pretty=False)

    byte_level = Tokenizer(models.BPE(ignore_merges=True))
    byte_level.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(llama3), "isolated"),
                                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    byte_level.decoder = decoders.ByteLevel()
    byte_level.train(pages, trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                                special_tokens=["<|begin_of_text|>", "<|eot_id|>"], show_progress=False))
    byte_level.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", byte_level.token_to_id("<|begin_of_text|>"))])
    save("llama3", byte_level)

    metaspace = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=False))
    metaspace.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    metaspace.decoder = decoders.Metaspace(prepend_scheme="first", split=True)
    metaspace.train(pages, trainers.BpeTrainer(vocab_size=500, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))
    from tokenizers import AddedToken
    metaspace.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    save("metaspace", metaspace)

    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train(pages, trainers.UnigramTrainer(vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                                 show_progress=False))
    unigram.post_processor = processors.TemplateProcessing(single="$A </s>",
                                                           special_tokens=[("</s>", unigram.token_to_id("</s>"))])
    save("unigram", unigram)

    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wordpiece.decoder = decoders.WordPiece()
    wordpiece.train(pages, trainers.WordPieceTrainer(vocab_size=600, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
                                                     show_progress=False))
    wordpiece.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(t, wordpiece.token_to_id(t)) for t in ("[CLS]", "[SEP]")])
    save("wordpiece", wordpiece)


def error_line(error):
    """The line of the template that an error comes from."""
    import jinja2
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in ("<template>", "<unknown>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def render(source, names):
    """{"text"} or {"error", "line"}, by transformers' own environment."""
    from transformers.utils.chat_template_utils import _compile_jinja_template
    try:
        return dict(text=_compile_jinja_template(source).render(**names))
    except Exception as error:  # noqa: BLE001: whatever a template raises
        return dict(error=type(error).__name__, line=error_line(error))


def make_templates(data, out):
    import jinja2
    import transformers
    file = out / "templates.json"
    old = json.loads(file.read_text())
    cases = [dict(template=case["template"], **render(case["template"], old["names"])) for case in old["cases"]]
    golden = dict(made_with=dict(jinja2=jinja2.__version__, transformers=transformers.__version__), names=old["names"], cases=cases)
    conversations = json.loads((data / "assets/chat-templates/conversations.json").read_text())
    lines = collections.defaultdict(set)
    for row in json_lines(data / "assets/chat-templates/rendered.jsonl.gz"):
        if "error" not in row:
            continue
        names = dict(messages=conversations[row["conversation"]], add_generation_prompt=row["add_generation_prompt"], tools=None,
                     documents=None, bos_token="<BOS>", eos_token="<EOS>", pad_token="<PAD>", unk_token="<UNK>")
        source = (data / "assets/chat-templates/templates" / row["template"]).read_text()
        lines[row["template"]].add(render(source, names)["line"])
    golden["error_lines"] = {name: sorted(found) for name, found in sorted(lines.items())}
    write_json(file, golden)


def check(arguments, data):
    failed = 0
    for name in (*OURS, *SHARED):
        path = GOLDEN / name if name in OURS else data / SHARED[name]
        tokenizer = reference(path)
        texts = [random_text(arguments.seed, i) for i in range(arguments.strings)]
        with tempfile.TemporaryDirectory() as directory:
            directory = pathlib.Path(directory)
            (directory / "tokenizer.json").write_text(tokenizer.to_str())
            (directory / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts if "\0" not in t))
            with open(directory / "out.jsonl", "w", encoding="utf-8") as out:
                subprocess.run([arguments.varalign, "tokenize", "--model", directory, "--in", directory / "in.jsonl",
                                "--no-special-tokens"], stdout=out, check=True)
            ours = [json.loads(line)["ids"] for line in open(directory / "out.jsonl", encoding="utf-8")]
        texts = [t for t in texts if "\0" not in t]
        theirs = [e.ids for block in blocks(texts) for e in tokenizer.encode_batch(block, add_special_tokens=False)]
        wrong = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
        print(f"{name}: {len(texts)} texts, {len(wrong)} differ", flush=True)
        for i in wrong[:5]:
            print(f"  {texts[i]!r}\n    ours   {ours[i]}\n    theirs {theirs[i]}")
        failed += len(wrong)
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["golden", "check"])
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--out", default=GOLDEN, type=pathlib.Path)
    parser.add_argument("--train", action="store_true", help="make the small tokenizers again too")
    parser.add_argument("--varalign", default=shutil.which("varalign") or ROOT / "build/bin/varalign")
    parser.add_argument("--strings", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "check":
        return check(arguments, arguments.data)
    if arguments.train:
        make_tokenizers(arguments.out)
    make_ids(arguments.data, arguments.out)
    make_templates(arguments.data, arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
