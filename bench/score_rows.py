"""The rows that bench/score_cpu scores, from a data set directory, and the
operations that they cost."""
import array
import json
import pathlib
import struct


def read_shard(path):
    """Tensors of a shard (docs/formats/dataset.md) as lists; U32 only."""
    data = path.read_bytes()
    size, = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__" or entry["dtype"] != "U32":
            continue
        begin, end = entry["data_offsets"]
        values = array.array("I")
        values.frombytes(data[8 + size + begin:8 + size + end])
        tensors[name] = values.tolist()
    return tensors


def pieces(lengths, ids):
    begin = 0
    for length in lengths:
        yield ids[begin:begin + length]
        begin += length


def examples(directory):
    """(prompt, responses) of each example."""
    for path in sorted(pathlib.Path(directory).glob("shard-*.safetensors")):
        shard = read_shard(path)
        prompts = pieces(shard["prompt_lengths"], shard["prompt_ids"])
        responses = pieces(shard["response_lengths"], shard["response_ids"])
        for prompt, count in zip(prompts, shard["num_responses"]):
            yield prompt, [next(responses) for _ in range(count)]


def own_calls(source, rows_per_call):
    call = []
    for prompt, responses in source:
        if call and len(call) + len(responses) > rows_per_call:
            yield call
            call = []
        call += [{"prompt": prompt, "response": r} for r in responses]


def cross_calls(source, block):
    group = []
    for example in source:
        group.append(example)
        if len(group) < block:
            continue
        yield [{"prompt": prompt, "response": responses[0]}
               for prompt, _ in group for _, responses in group]
        group = []


def calls(directory, sets, block, count, rows_per_call):
    source = examples(directory)
    made = (cross_calls(source, block) if sets == "cross"
            else own_calls(source, rows_per_call))
    result = [call for _, call in zip(range(count), made)]
    if len(result) < 2:
        raise SystemExit(f"too few rows for two calls: {directory}")
    return result


def body(config):
    """Operations of the decoder: (a token, a token and key it sees)."""
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or width // heads
    queries = heads * dim
    keys = config.get("num_key_value_heads", heads) * dim
    parameters = layers * (2 * width * queries + 2 * width * keys +
                           3 * width * config["intermediate_size"])
    return 2 * parameters, 4 * layers * queries


def causal(length, seen=0):
    """Keys that `length` rows see, themselves included."""
    return length * seen + length * (length + 1) / 2


def model_flops(rows, config, head):
    """{mode: operations} of one model; `head` at each predicted token."""
    token, pair = body(config)
    vocabulary = 2 * config["hidden_size"] * config["vocab_size"] if head else 0
    flops = {"shared": 0.0, "unshared": 0.0}
    prompts = {}
    for row in rows:
        prompt, response = len(row["prompt"]), len(row["response"])
        prompts[tuple(row["prompt"])] = prompt
        flops["unshared"] += (token * (prompt + response) +
                              pair * causal(prompt + response) +
                              vocabulary * response)
        flops["shared"] += (token * response + pair * causal(response, prompt) +
                            vocabulary * response)
    for prompt in prompts.values():
        flops["shared"] += token * prompt + pair * causal(prompt)
    return flops


def flops(all_calls, policy, reward):
    total = {"shared": 0.0, "unshared": 0.0}
    for directory, head in ((policy, True), (reward, False)):
        config = json.loads((pathlib.Path(directory) / "config.json").read_text())
        for call in all_calls:
            for mode, value in model_flops(call, config, head).items():
                total[mode] += value
    return total
