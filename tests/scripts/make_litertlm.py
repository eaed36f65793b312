#!/usr/bin/env python3
"""Writes tests/data/litertlm: a LiteRT-LM file by litert-lm-builder, with tflite models written through the schema of ai-edge-litert, and what ai-edge-litert's interpreter makes of
their constants.

Packages (PyPI): numpy, flatbuffers==25.12.19, litert-lm-builder==0.18.1, ai-edge-litert==2.3.0, safetensors. No file with weights of Gemma 4 can be had here: the names of tensors
follow reports on the published files, the numbers are random.
"""
import io
import os
import tempfile

import flatbuffers
import numpy as np
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema
from litert_lm_builder import litertlm_builder
from safetensors.numpy import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "litertlm")
TYPES = {2: schema.TensorType.INT2, 4: schema.TensorType.INT4, 8: schema.TensorType.INT8}


def pack(codes, bits):
    """Two's complement from the least significant bit on, over the whole tensor."""
    flat = codes.reshape(-1).astype(np.int64) & ((1 << bits) - 1)
    flat = np.concatenate([flat, np.zeros(-len(flat) % (8 // bits), dtype=np.int64)]).reshape(-1, 8 // bits)
    return (flat << np.arange(0, 8, bits)).sum(axis=1).astype(np.uint8)


class Graph:
    def __init__(self):
        self.buffers, self.tensors, self.operators, self.outputs, self.wanted = [schema.BufferT()], [], [], [], {}

    def buffer(self, data):
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), dtype=np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def tensor(self, name, kind, shape, buffer=0, quantization=None):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer, tensor.quantization, tensor.hasRank = name, kind, list(shape), buffer, quantization, True
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def codes(self, name, shape, bits, scales, zeros=None, rng=np.random.default_rng(5)):
        codes = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
        scales = np.asarray(scales, dtype=np.float32)
        zeros = np.zeros(len(scales), dtype=np.int64) if zeros is None else np.asarray(zeros, dtype=np.int64)
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = scales, zeros, 0
        index = self.tensor(name, TYPES[bits], shape, self.buffer(pack(codes, bits)), quantization)
        column = (slice(None),) + (None,) * (len(shape) - 1)
        self.dequantize(index, name, shape, (codes - zeros[column]).astype(np.float32) * scales[column])

    def blocks(self, name, shape, size, scales):
        codes = np.random.default_rng(6).integers(-8, 8, shape)
        index = self.tensor(name + "_scale", schema.TensorType.FLOAT16, scales.shape, self.buffer(scales.astype(np.float16)))
        details = schema.BlockwiseQuantizationT()
        details.scales, details.blockSize, details.zeroPoints = index, size, 0
        quantization = schema.QuantizationParametersT()
        quantization.detailsType, quantization.details = schema.QuantizationDetails.BlockwiseQuantization, details
        self.tensor(name, TYPES[4], shape, self.buffer(pack(codes, 4)), quantization)
        self.wanted[name] = codes.astype(np.float32) * np.repeat(scales.astype(np.float16).astype(np.float32), size, axis=1)

    def dequantize(self, index, name, shape, values):
        output = self.tensor(name + "_floats", schema.TensorType.FLOAT32, shape)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [index], [output]
        self.operators.append(operator)
        self.outputs.append((output, name))
        self.wanted[name] = values

    def plain(self, name, kind, data):
        self.tensor(name, kind, data.shape, self.buffer(data))
        if data.dtype == np.float32:
            self.wanted[name] = data

    def bytes(self):
        model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        code.version = 6
        graph.tensors, graph.operators, graph.inputs, graph.outputs, graph.name = self.tensors, self.operators, [], [index for index, _ in self.outputs], "main"
        model.version, model.subgraphs, model.buffers, model.operatorCodes, model.description = 3, [graph], self.buffers, [code], "gcompile test"
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def check(self):
        """That the interpreter dequantizes to the values wanted here."""
        run = interpreter.Interpreter(model_content=self.bytes(), experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        run.allocate_tensors()
        run.invoke()
        for index, name in self.outputs:
            assert np.array_equal(run.get_tensor(index), self.wanted[name]), name


def scales(count, seed):
    return np.random.default_rng(seed).uniform(0.01, 0.02, count).astype(np.float32)


decoder, embedder = Graph(), Graph()
decoder.codes("layer_0/attn/q_einsum/w", (16, 24), 4, scales(16, 1))
decoder.codes("layer_0/mlp/gating_einsum1/w", (12, 32), 2, scales(12, 2))
decoder.codes("layer_0/per_layer_embedding_gate/w", (8, 16), 8, scales(8, 3))
decoder.codes("layer_0/mlp/linear/w", (5, 7), 4, scales(5, 4))
decoder.codes("layer_0/attn/k_einsum/w", (4, 8), 8, [0.5], [3])
decoder.plain("layer_0/norm/scale", schema.TensorType.FLOAT32, np.linspace(-1, 1, 16).astype(np.float32))
decoder.plain("reshape/shape", schema.TensorType.INT32, np.array([1, 128], dtype=np.int32))
decoder.blocks("decode_softmax/w", (6, 64), 32, np.random.default_rng(9).uniform(0.01, 0.02, (6, 2)))
embedder.codes("embedding/w", (20, 16), 4, scales(20, 7))
for bits in (2, 4, 8):
    one = Graph()
    one.codes("w", (6, 10), bits, scales(6, bits), rng=np.random.default_rng(bits))
    one.check()
os.makedirs(OUT, exist_ok=True)
builder = litertlm_builder.LitertLmFileBuilder()
with tempfile.TemporaryDirectory() as folder:
    for graph, kind, constraint in ((embedder, litertlm_builder.TfLiteModelType.EMBEDDER, None), (decoder, litertlm_builder.TfLiteModelType.PREFILL_DECODE, "cpu")):
        path = os.path.join(folder, kind.value)
        with open(path, "wb") as file:
            file.write(graph.bytes())
        builder.add_tflite_model(path, kind, backend_constraint=constraint)
    notes = os.path.join(folder, "notes.bin")
    with open(notes, "wb") as file:
        file.write(b"hello")
    builder.add_generic_binary_data(notes)
    with open(os.path.join(OUT, "micro.litertlm"), "wb") as stream:
        builder.build(stream)
expected = {f"tf_lite_{kind}/{name}": values for graph, kind in ((embedder, "embedder"), (decoder, "prefill_decode")) for name, values in graph.wanted.items()}
save_file(expected, os.path.join(OUT, "expected.safetensors"))
print({name: os.path.getsize(os.path.join(OUT, name)) for name in os.listdir(OUT)})
