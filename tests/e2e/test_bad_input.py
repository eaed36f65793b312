#!/usr/bin/env python3
"""Bad checkpoints: exit code 1, one clear line on standard error, nothing left behind, an older output untouched.

Each case edits a copy of the micro model conformance/e2b-like (or of the tiny one where a tokenizer matters) in one way.
"""
import contextlib
import json
import os
import resource
import shutil
import signal
import struct
import subprocess

import gc_e2e as gc

report = gc.Report()
MICRO = os.path.join(gc.DATA, "conformance", "e2b-like")
TENSORS, METADATA = gc.read_safetensors(os.path.join(MICRO, "model.safetensors"))
with open(os.path.join(MICRO, "config.json"), encoding="utf-8") as file:
    CONFIG = json.load(file)
PROJECTION = next(name for name in sorted(TENSORS) if "language_model" in name and name.endswith("layers.1.mlp.down_proj.weight"))
NORM = next(name for name in sorted(TENSORS) if "language_model" in name and name.endswith("layers.0.input_layernorm.weight"))


def micro(folder, tensors=None, config=None, edit_header=None):
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        file.write(config if isinstance(config, str) else json.dumps(config or CONFIG))
    gc.write_safetensors(os.path.join(folder, "model.safetensors"), tensors or TENSORS, METADATA, edit_header)


def file_case(edit):
    """Edits the bytes of model.safetensors."""
    def make(folder):
        micro(folder)
        path = os.path.join(folder, "model.safetensors")
        with open(path, "rb") as file:
            data = bytearray(file.read())
        with open(path, "wb") as file:
            file.write(edit(data))
    return make


def header_case(change):
    """Edits the header of model.safetensors: a change of the dictionary, or the raw bytes that take its place."""
    return lambda folder: micro(folder, edit_header=change)


def entry_case(name, **fields):
    def change(header):
        header[name].update(fields)
    return header_case(change)


def tensor_case(change):
    def make(folder):
        tensors = dict(TENSORS)
        change(tensors)
        micro(folder, tensors)
    return make


def mobile_case(**fields):
    def make(folder):
        shutil.copytree(os.path.join(gc.DATA, "conformance-f32", "mobile_E"), folder)
        path = os.path.join(folder, "config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        config["quantization_config"].update(fields)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
    return make


def config_case(**fields):
    def make(folder):
        config = json.loads(json.dumps(CONFIG))
        for key, value in fields.items():
            place = config if key in ("architectures", "model_type") else config["text_config"]
            if value is None:
                place.pop(key, None)
            else:
                place[key] = value
        micro(folder, config=config)
    return make


def poison(value):
    def change(tensors):
        dtype, shape, data = tensors[PROJECTION]
        tensors[PROJECTION] = (dtype, shape, data[:20] + struct.pack("<H", value) + data[22:])
    return tensor_case(change)


def flip(bit):
    def edit(data):
        data[bit // 8] ^= 1 << (bit % 8)
        return data
    return file_case(edit)


def reshape(tensors):
    dtype, shape, data = tensors[PROJECTION]
    tensors[PROJECTION] = (dtype, shape[::-1], data)


def tokenizer_case(edit):
    """Edits the tokenizer of a copy of the tiny model, whose weights are a link."""
    def make(folder):
        os.makedirs(folder)
        for name in ("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(os.path.join(gc.TINY, name), folder)
        os.symlink(os.path.join(gc.TINY, "model.safetensors"), os.path.join(folder, "model.safetensors"))
        with open(os.path.join(gc.TINY, "tokenizer.json"), "rb") as file:
            data = edit(file.read())
        with open(os.path.join(folder, "tokenizer.json"), "wb") as file:
            file.write(data)
    return make


def tokenizer_json(change):
    def edit(data):
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()
    return tokenizer_case(edit)


def sharded(weight_map):
    def make(folder):
        micro(folder)
        os.rename(os.path.join(folder, "model.safetensors"), os.path.join(folder, "model-00001-of-00001.safetensors"))
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
            json.dump({"metadata": {}, "weight_map": {name: weight_map for name in TENSORS}}, file)
    return make


def duplicate_ids(value):
    pieces = value["model"]["vocab"]
    first, second = sorted(pieces, key=pieces.get)[300:302]
    pieces[second] = pieces[first]


def unreadable(folder):
    os.makedirs(folder)
    os.chmod(folder, 0)


FIRST = next(iter(TENSORS))
COUNT = len(TENSORS[PROJECTION][2])
CASES = [
    # the file
    ("no such folder", lambda folder: None),
    ("an empty folder", lambda folder: os.makedirs(folder)),
    ("an empty safetensors file", file_case(lambda data: b"")),
    ("seven bytes", file_case(lambda data: data[:7])),
    ("cut inside the header", file_case(lambda data: data[:1000])),
    ("cut inside the data", file_case(lambda data: data[:len(data) // 2])),
    ("cut by one byte", file_case(lambda data: data[:-1])),
    ("bytes after the data", file_case(lambda data: data + b"tail")),
    ("header of 2^60 bytes", file_case(lambda data: struct.pack("<Q", 1 << 60) + data[8:])),
    ("header of 2^64 - 1 bytes", file_case(lambda data: b"\xff" * 8 + data[8:])),
    ("header of no bytes", file_case(lambda data: struct.pack("<Q", 0) + data[8:])),
    ("a flipped bit in the header's length", flip(4)),
    ("a flipped bit in the first brace", flip(8 * 8 + 2)),
    ("a flipped bit in the first name's quote", flip(9 * 8 + 1)),
    # the header
    ("header that is no object", header_case(lambda header: b"[1,2,3]")),
    ("header nested 100 000 deep", header_case(lambda header: b'{"a":' + b"[" * 100000 + b"]" * 100000 + b"}")),
    ("header with invalid UTF-8", header_case(lambda header: b'{"\xff\xfe":{}}')),
    ("offsets beyond the file", entry_case(PROJECTION, data_offsets=[1 << 40, (1 << 40) + COUNT])),
    ("offsets that wrap around", entry_case(PROJECTION, data_offsets=[(1 << 64) - COUNT, 1 << 64])),
    ("offsets in the wrong order", entry_case(PROJECTION, data_offsets=[COUNT, 0])),
    ("negative offsets", entry_case(PROJECTION, data_offsets=[-COUNT, 0])),
    ("offsets that overlap another tensor", entry_case(PROJECTION, data_offsets=[2, 2 + COUNT])),
    ("offsets as text", entry_case(PROJECTION, data_offsets=["0", "8"])),
    ("a shape larger than its bytes", entry_case(PROJECTION, shape=[4096, 4096])),
    ("a shape of 2^60", entry_case(PROJECTION, shape=[1 << 60, 16])),
    ("a shape whose product overflows", entry_case(PROJECTION, shape=[1 << 32, 1 << 32, 0x10])),
    ("a negative shape", entry_case(PROJECTION, shape=[-64, -48])),
    ("an unknown element type", entry_case(PROJECTION, dtype="Q17")),
    ("an entry without a shape", header_case(lambda header: header[PROJECTION].pop("shape") and None)),
    # the tensors
    ("a missing projection", tensor_case(lambda t: t.pop(PROJECTION))),
    ("a missing norm", tensor_case(lambda t: t.pop(NORM))),
    ("a transposed projection", tensor_case(reshape)),
    ("a weight that is not a number", poison(0x7FC1)),
    ("an infinite weight", poison(0x7F80)),
    # the configuration
    ("a config that is no JSON", lambda folder: micro(folder, config="{broken")),
    ("a config nested 100 000 deep", lambda folder: micro(folder, config='{"a":' * 100000)),
    ("an unknown architecture", config_case(architectures=["LlamaForCausalLM"], model_type="llama")),
    ("no layers", config_case(num_hidden_layers=0)),
    ("layers as text", config_case(num_hidden_layers="five")),
    ("2^40 layers", config_case(num_hidden_layers=1 << 40)),
    ("more layers than layer types", config_case(num_hidden_layers=6)),
    ("an unknown layer type", config_case(layer_types=["sliding_attention"] * 4 + ["spiral_attention"])),
    ("a negative hidden size", config_case(hidden_size=-64)),
    ("a hidden size that the tensors deny", config_case(hidden_size=128)),
    ("no attention heads", config_case(num_attention_heads=0)),
    ("heads that KV heads do not divide", config_case(num_key_value_heads=3)),
    ("more shared layers than layers", config_case(num_kv_shared_layers=9)),
    ("a vocabulary of none", config_case(vocab_size=0)),
    ("an unknown activation", config_case(hidden_activation="step")),
    ("a window of zero", config_case(sliding_window=0)),
    # members of the family that cannot be compiled yet: said, not guessed
    ("a drafter", lambda folder: shutil.copytree(os.path.join(gc.DATA, "conformance", "mtp-assistant"), folder)),
    ("a quantizer that is not read", mobile_case(quant_method="torchao")),
    ("a quantizer that nobody knows", mobile_case(quant_method="no-such-thing")),
    ("widths that the tensors deny", mobile_case(num_bits=2, module_quant_configs={})),
    ("a pattern that never ends", mobile_case(module_quant_configs={"(" * 5000: {"num_bits": 4}})),
    # shards
    ("an index that names a missing shard", sharded("model-00007-of-00009.safetensors")),
    ("an index that leaves the folder", sharded("../model-00001-of-00001.safetensors")),
    ("an index with an absolute path", sharded("/etc/passwd")),
    # the tokenizer
    ("a tokenizer cut in half", tokenizer_case(lambda data: data[:len(data) // 2])),
    ("an empty tokenizer", tokenizer_case(lambda data: b"")),
    ("a tokenizer nested 100 000 deep", tokenizer_case(lambda data: b'{"model":' * 100000)),
    ("a tokenizer without a vocabulary", tokenizer_json(lambda value: value["model"].pop("vocab"))),
    ("a tokenizer of another kind", tokenizer_json(lambda value: value["model"].update(type="WordPiece"))),
    ("a merge of unknown pieces", tokenizer_json(lambda value: value["model"]["merges"].insert(0, ["no such piece", "nor this"]))),
    ("two pieces with one id", tokenizer_json(duplicate_ids)),
    ("an id of 2^40", tokenizer_json(lambda value: value["model"]["vocab"].update({"huge": 1 << 40}))),
    ("a negative id", tokenizer_json(lambda value: value["model"]["vocab"].update({"minus": -5}))),
]
if os.geteuid() != 0:
    CASES.append(("an unreadable folder", unreadable))

root = gc.scratch("bad_input")


MENTION = {"a weight that is not a number": ("nan", "not a number"), "an infinite weight": ("inf",)}


def judge(title, result, output_folder):
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("gcompile: error: ")]
    others = [line for line in lines if not line.startswith(("gcompile: error: ", "gcompile: warning: ", "gcompile: note: "))]
    left = os.listdir(output_folder)
    holds = result.code == 1 and len(errors) == 1 and not others and not left and len(errors[0]) < 600
    holds = holds and (title not in MENTION or any(word in errors[0].lower() for word in MENTION[title]))
    detail = errors[0][len("gcompile: error: "):] if holds else f"exit code {result.code}, left {left}, stderr {result.stderr.strip()[:400]!r}"
    report.check(title, holds, detail)


def compile_into(folder, name, model, **options):
    return gc.gcompile("--model", model, "--target", "host", "--weight-format", "w8", "--context", "256", "-o", os.path.join(folder, name), timeout=120, **options)


for number, (title, make) in enumerate(CASES):
    model, output = os.path.join(root, f"model{number}"), os.path.join(root, f"out{number}")
    os.makedirs(output)
    make(model)
    judge(title, compile_into(output, "bad.gpk", model), output)
    shutil.rmtree(model, ignore_errors=True)

# The unedited copies are fine: the cases above fail for their edit alone.
output = os.path.join(root, "good")
os.makedirs(output)
micro(os.path.join(root, "copy"))
result = compile_into(output, "good.gpk", os.path.join(root, "copy"))
report.check("the unedited copy compiles", result.code == 0 and os.listdir(output) == ["good.gpk"], f"{result.code} {result.stderr.strip()[:200]}")
tokenizer_case(lambda data: data)(os.path.join(root, "linked"))
result = compile_into(output, "linked.gpk", os.path.join(root, "linked"))
report.check("links to regular files are followed", result.code == 0 and sorted(os.listdir(output)) == ["good.gpk", "linked.gpk"], f"{result.code} {result.stderr.strip()[:200]}")

# An older output survives a failure.
with open(os.path.join(output, "good.gpk"), "rb") as file:
    before = file.read()
micro(os.path.join(root, "poisoned"), tensors={name: t for name, t in TENSORS.items() if name != PROJECTION})
result = compile_into(output, "good.gpk", os.path.join(root, "poisoned"))
with open(os.path.join(output, "good.gpk"), "rb") as file:
    report.check("a failed compile leaves the older output as it was", result.code == 1 and file.read() == before)

# Places where nothing can be written. A file-size limit is there on every machine; a real file system that is full needs the right to mount one.


def small_disk():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))


full = os.path.join(root, "full")
os.makedirs(full)
judge("a file-size limit", compile_into(full, "big.gpk", gc.TINY, preexec_fn=small_disk), full)


@contextlib.contextmanager
def small_file_system(name, size):
    """A file system of its own of so many bytes; None where none may be mounted."""
    folder = os.path.join(root, name)
    os.makedirs(folder)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "gcompile-test", folder], capture_output=True, text=True)
    try:
        yield folder if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)


with small_file_system("small_disk", 2_000_000) as folder:
    if folder is None:
        print("skip   a disk that is full: no file system may be mounted here")
    else:
        judge("a disk that is full", compile_into(folder, "big.gpk", gc.TINY), folder)
# Where code is linked and where it is written are different places: both can be full.
with small_file_system("small_temporary", 4096) as folder:
    if folder is None:
        print("skip   a temporary folder that is full: no file system may be mounted here")
    else:
        output = os.path.join(root, "beside_full_temporary")
        os.makedirs(output)
        judge("a temporary folder that is full", compile_into(output, "big.gpk", MICRO, env={**os.environ, "TMPDIR": folder}), output)
        report.check("a temporary folder that is full: is left empty", os.listdir(folder) == [])
result = compile_into(os.path.join(root, "no", "such", "folder"), "x.gpk", MICRO)
report.check("an output folder that does not exist", result.code == 1 and result.stderr.splitlines()[-1].startswith("gcompile: error: "), f"{result.code} {result.stderr.splitlines()[-1][:200]}")
report.finish()
