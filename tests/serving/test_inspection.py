"""What a graph would do is known before it is loaded, wherever in it an op hides."""

import os
import tempfile
from pathlib import Path

import graph_checks
import numpy as np
import plain_models
import pytest
import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.core.protobuf import saved_model_pb2

from tf_jmvae.serving import inspection

REALS = tf.TensorSpec([None, 3], tf.float32)


def save(folder, function, *specs, **parts):
    """A SavedModel whose only signature is a function; `parts` are what it keeps variables in."""
    module = tf.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    concrete = tf.function(function, autograph=False).get_concrete_function(*(specs or (REALS,)))
    tf.saved_model.save(module, str(folder), {"encode": concrete})
    return folder


def found(findings):
    return {finding.op for finding in findings}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return plain_models.write(tmp_path_factory.mktemp("plain") / "1")


def test_a_plain_model_passes_every_check(plain):
    assert inspection.unsafe_ops(plain) == []
    assert graph_checks.stateful_random_ops(plain) == []
    assert graph_checks.pinned_devices(plain) == []
    assert graph_checks.ops_without_gpu_kernel(plain) == []


def test_ops_are_listed_with_their_functions(plain):
    ops = graph_checks.ops(plain)
    assert ops["Placeholder"] == [""]
    assert len(ops["SaveV2"]) == len(ops["RestoreV2"]) == 1
    assert any("encode" in function for function in ops["Sum"])
    assert any("while_body" in function or "map" in function for function in ops["EncodePng"])
    assert list(ops) == sorted(ops)


def test_a_model_that_uses_all_that_networks_are_made_of_passes(tmp_path):
    """Control flow, assertions, random numbers with and without state, tensor lists, asset-free strings."""
    weight = tf.Variable(tf.ones([3, 3]))
    steps = tf.Variable(0)

    def function(x):
        steps.assign_add(1)
        tf.debugging.assert_greater(tf.shape(x)[0], 0)
        x = tf.debugging.check_numerics(x, "x")
        x += tf.random.normal(tf.shape(x)) + tf.random.stateless_uniform(tf.shape(x), [1, 2])
        x = tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x)
        x = tf.while_loop(lambda y: tf.reduce_sum(y) < 9, lambda y: (y @ weight,), (x,))[0]
        x = tf.switch_case(tf.constant(1), [lambda: x, lambda: 2 * x])
        x = tf.nn.dropout(tf.gather(weight, [0, 1, 2]) @ tf.transpose(x), 0.5)
        words = tf.strings.join([tf.strings.as_string(x), "a"])
        return {"x": tf.map_fn(tf.exp, x), "words": tf.strings.upper(words)}

    folder = save(tmp_path / "1", function, weight=weight, steps=steps)
    assert inspection.unsafe_ops(folder) == []
    assert found(graph_checks.stateful_random_ops(folder)) == {"RandomStandardNormal", "RandomUniform"}


def _tables(path):
    path.write_text("a\nb\n")
    lines = tf.lookup.TextFileInitializer(
        str(path), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    return tf.lookup.StaticHashTable(lines, -1)


def _to_string(x):
    return tf.strings.as_string(tf.reduce_sum(x))


NEVER = f"{tempfile.gettempdir()}/never-{os.getpid()}"


@pytest.fixture(autouse=True)
def _nothing_is_run():
    """What the graphs here would write is not there, whatever was saved and inspected."""
    yield
    assert not [path for path in Path(NEVER).parent.iterdir() if path.name.startswith(Path(NEVER).name)]


UNSAFE = {
    "EagerPyFunc": lambda x: tf.py_function(lambda y: y, [x], tf.float32),
    "PyFunc": lambda x: tf.numpy_function(lambda y: y, [x], tf.float32),
    "PyFuncStateless": lambda x: tf.numpy_function(lambda y: y, [x], tf.float32, stateful=False),
    "ReadFile": lambda x: tf.io.read_file("/etc/passwd"),
    "WriteFile": lambda x: tf.io.write_file(NEVER, _to_string(x)),
    "MatchingFiles": lambda x: tf.io.matching_files("/*"),
    "TextLineDataset": lambda x: tf.data.TextLineDataset("/etc/passwd").reduce("", lambda a, b: a + b),
    "TFRecordDatasetV2": lambda x: tf.raw_ops.TFRecordDatasetV2(
        filenames="a", compression_type="", buffer_size=1, byte_offsets=tf.zeros([0], tf.int64)
    ),
    "FixedLengthRecordDatasetV2": lambda x: tf.data.FixedLengthRecordDataset("a", 1).reduce("", lambda a, b: a + b),
    "MatchingFilesDataset": lambda x: tf.raw_ops.MatchingFilesDataset(patterns=["/*"]),
    "CacheDatasetV2": lambda x: tf.data.Dataset.range(2).cache(NEVER).reduce(np.int64(0), lambda a, b: a + b),
    "SaveDatasetV2": lambda x: tf.raw_ops.SaveDatasetV2(
        input_dataset=tf.data.Dataset.range(1)._variant_tensor, path=NEVER, shard_func_other_args=[],
        shard_func=tf.function(lambda y: tf.constant(0, tf.int64)).get_concrete_function(tf.TensorSpec([], tf.int64)),
        output_types=[tf.int64], output_shapes=[[]],
    ),
    "WholeFileReaderV2": lambda x: tf.raw_ops.ReaderNumRecordsProducedV2(reader_handle=tf.raw_ops.WholeFileReaderV2()),
    "PrintV2": lambda x: tf.print(x, output_stream=f"file://{NEVER}"),
    "CreateSummaryFileWriter": lambda x: tf.raw_ops.CreateSummaryFileWriter(
        writer=tf.raw_ops.SummaryWriter(), logdir=NEVER, max_queue=1, flush_millis=1, filename_suffix=""
    ),
    "DebugIdentity": lambda x: tf.raw_ops.DebugIdentity(input=x, debug_urls=[f"file://{NEVER}"]),
    "DebugIdentityV2": lambda x: tf.raw_ops.DebugIdentityV2(input=x, debug_urls=["grpc://127.0.0.1:1"]),
    "ImmutableConst": lambda x: tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name="/etc/passwd"),
    "SaveV2": lambda x: tf.raw_ops.SaveV2(
        prefix=NEVER, tensor_names=["x"], shape_and_slices=[""], tensors=[x]
    ),
    "RestoreV2": lambda x: tf.raw_ops.RestoreV2(
        prefix="a", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "MergeV2Checkpoints": lambda x: tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=["a"], destination_prefix="b", delete_old_dirs=True
    ),
    "DecodeProtoV2": lambda x: tf.raw_ops.DecodeProtoV2(
        bytes=[_to_string(x)], message_type="a", field_names=["b"], output_types=[tf.int32],
        descriptor_source="/etc/hosts",
    )[0],
    "LoadAndRemapMatrix": lambda x: tf.raw_ops.LoadAndRemapMatrix(
        ckpt_path="a", old_tensor_name="x", row_remapping=[0], col_remapping=[0], initializing_values=[], num_rows=1,
        num_cols=1,
    ),
    "GenerateVocabRemapping": lambda x: tf.raw_ops.GenerateVocabRemapping(
        new_vocab_file="a", old_vocab_file="b", new_vocab_offset=0, num_new_vocab=1
    )[0],
    "RemoteCall": lambda x: tf.raw_ops.RemoteCall(
        target="/job:worker/task:0/device:CPU:0", args=[x], Tout=[tf.float32],
        f=tf.function(tf.exp).get_concrete_function(REALS),
    )[0],
    "XlaRecv": lambda x: gen_xla_ops.xla_recv(dtype=tf.float32, tensor_name="a", shape=[]),
    "Abort": lambda x: tf.raw_ops.Abort(),
}  # fmt: skip


@pytest.mark.parametrize("op", UNSAFE)
def test_an_unsafe_op_is_found(tmp_path, op):
    def function(x):
        result = UNSAFE[op](x)
        is_data = isinstance(result, tf.Tensor) and result.dtype not in (tf.variant, tf.resource)
        return {"y": result if is_data else x}

    findings = inspection.unsafe_ops(save(tmp_path / "1", function))
    assert op in found(findings)
    assert all(finding.function for finding in findings)


def _print(x):
    tf.print(x)
    return x


@tf.custom_gradient
def _with_gradient(x):
    return x, lambda upstream: tf.py_function(lambda y: y, [upstream], tf.float32)


def _gradient_of(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = _with_gradient(x)
    return tape.gradient(y, x)


HIDDEN = {
    "function": tf.function(tf.function(tf.function(_print))),
    "branch": lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: _print(x)),
    "case": lambda x: tf.switch_case(tf.size(x), [lambda: x, lambda: x, lambda: _print(x)]),
    "body": lambda x: tf.while_loop(lambda y: tf.reduce_sum(y) < 9, lambda y: (_print(y),), (x,))[0],
    "condition": lambda x: tf.while_loop(lambda y: tf.reduce_sum(_print(y)) < 9, lambda y: (y + 1,), (x,))[0],
    "map": lambda x: tf.map_fn(_print, x),
    "branch in a body": lambda x: tf.while_loop(
        lambda y: tf.reduce_sum(y) < 9, lambda y: (tf.cond(y[0, 0] > 0, lambda: _print(y), lambda: y),), (x,)
    )[0],
    "compiled": tf.function(lambda x: tf.io.read_file("a") if x is None else _print(x), jit_compile=True),
    "gradient": _gradient_of,
}


@pytest.mark.parametrize("place", HIDDEN)
def test_an_unsafe_op_is_found_wherever_it_hides(tmp_path, place):
    folder = save(tmp_path / "1", lambda x: {"y": HIDDEN[place](x)})
    assert found(inspection.unsafe_ops(folder)) == {"EagerPyFunc" if place == "gradient" else "PrintV2"}


def test_tables_of_files_are_found_where_they_are_initialised(tmp_path):
    table = _tables(tmp_path / "words.txt")
    folder = save(tmp_path / "1", lambda w: {"y": table.lookup(w)}, tf.TensorSpec([None], tf.string), table=table)
    assert "InitializeTableFromTextFileV2" in found(inspection.unsafe_ops(folder))


def test_a_function_that_no_signature_calls_is_looked_at_too(tmp_path):
    module = plain_models.PlainModel()
    module.innocent = tf.function(lambda: tf.io.read_file("/etc/passwd"), input_signature=[])
    tf.saved_model.save(module, str(tmp_path / "1"), {"encode": module.encode})
    assert found(inspection.unsafe_ops(tmp_path / "1")) == {"ReadFile"}


def _edited(folder, edit):
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    edit(saved)
    path.write_bytes(saved.SerializeToString())
    return folder


@pytest.fixture
def copy(plain, tmp_path):
    """A folder with the graph of the plain model alone."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/saved_model.pb").write_bytes((plain / "saved_model.pb").read_bytes())
    return tmp_path / "1"


def _function(graph, part):
    return next(f for f in graph.graph_def.library.function if part in f.signature.name)


def test_an_op_that_this_tensorflow_does_not_know_is_unsafe(copy):
    def edit(saved):
        _function(saved.meta_graphs[0], "signature_wrapper").node_def.add(name="new", op="OpOfTomorrow")

    (finding,) = inspection.unsafe_ops(_edited(copy, edit))
    assert finding.op == "OpOfTomorrow"
    assert str(finding) == f"OpOfTomorrow in {finding.function} (not an op of this TensorFlow)"


def test_a_function_called_by_its_name_as_an_op_is_known(copy):
    def edit(saved):
        graph = saved.meta_graphs[0]
        graph.graph_def.node.add(name="new", op=_function(graph, "signature_wrapper").signature.name)

    assert inspection.unsafe_ops(_edited(copy, edit)) == []


def test_ops_outside_of_functions_and_in_further_graphs_are_found(copy):
    def edit(saved):
        saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])
        saved.meta_graphs[1].graph_def.node.add(name="new", op="WriteFile")

    (finding,) = inspection.unsafe_ops(_edited(copy, edit))
    assert (finding.op, finding.function) == ("WriteFile", "")


SAVERS = {"SaveV2", "MergeV2Checkpoints", "ShardedFilename"}


def _call_from_signature(graph, saver):
    node = _function(graph, "signature_wrapper").node_def.add(name="new", op="StatefulPartitionedCall")
    node.attr["f"].func.name = _function(graph, saver).signature.name


def _call_from_graph(graph, saver):
    node = graph.graph_def.node.add(name="new", op="StatefulPartitionedCall")
    node.attr["f"].func.name = _function(graph, saver).signature.name


def _call_by_name(graph, saver):
    _function(graph, "signature_wrapper").node_def.add(name="new", op=_function(graph, saver).signature.name)


def _name_in_a_list(graph, saver):
    node = _function(graph, "signature_wrapper").node_def.add(name="new", op="Case")
    node.attr["branches"].list.func.add(name=_function(graph, saver).signature.name)


def _name_in_an_attribute_of_a_function(graph, saver):
    node = _function(graph, "signature_wrapper").node_def.add(name="new", op="PartitionedCall")
    node.attr["f"].func.attr["g"].func.name = _function(graph, saver).signature.name


def _name_as_backward_function(graph, saver):
    attribute = _function(graph, "signature_wrapper").attr["backward_function_name"]
    attribute.s = _function(graph, saver).signature.name.encode()


def _name_as_gradient(graph, saver):
    graph.graph_def.library.gradient.add(
        function_name=_function(graph, "signature_wrapper").signature.name,
        gradient_func=_function(graph, saver).signature.name,
    )


def _use_as_signature(graph, saver):
    name = graph.saver_def.save_tensor_name if "save" in saver else f"{graph.saver_def.restore_op_name}:0"
    graph.signature_def["encode"].outputs["mean"].name = name


def _use_as_input(graph, saver):
    name = graph.saver_def.save_tensor_name if "save" in saver else f"^{graph.saver_def.restore_op_name}"
    graph.graph_def.node.add(name="new", op="NoOp").input.append(name.replace(":0", ""))


def _use_as_initialisation(graph, saver):
    name = graph.saver_def.save_tensor_name if "save" in saver else graph.saver_def.restore_op_name
    graph.collection_def["saved_model_main_op"].node_list.value[:] = [name.split(":")[0]]


def _offer_as_a_method(graph, saver):
    graph.object_graph_def.concrete_functions[_function(graph, saver).signature.name].SetInParent()


@pytest.mark.parametrize(("saver", "ops"), [("_traced_save", SAVERS), ("_traced_restore", {"RestoreV2"})])
@pytest.mark.parametrize(
    "reach",
    [
        _call_from_signature,
        _call_from_graph,
        _call_by_name,
        _name_in_a_list,
        _name_in_an_attribute_of_a_function,
        _name_as_backward_function,
        _name_as_gradient,
        _use_as_signature,
        _use_as_input,
        _use_as_initialisation,
        _offer_as_a_method,
    ],
)
def test_the_savers_functions_are_unsafe_once_anything_else_reaches_them(copy, reach, saver, ops):
    _edited(copy, lambda saved: reach(saved.meta_graphs[0], saver))
    assert found(inspection.unsafe_ops(copy)) == ops


def test_restoring_may_not_save(copy):
    """A server runs the node that restores: it may read a checkpoint, and nothing else."""

    def edit(saved):
        _function(saved.meta_graphs[0], "_traced_restore").node_def.add(name="new", op="SaveV2")

    (finding,) = inspection.unsafe_ops(_edited(copy, edit))
    assert finding.op == "SaveV2"
    assert "restore" in finding.function


def test_one_node_cannot_be_both_saver_and_restorer(copy):
    def edit(saved):
        saver = saved.meta_graphs[0].saver_def
        saver.restore_op_name = saver.save_tensor_name.split(":")[0]

    assert found(inspection.unsafe_ops(_edited(copy, edit))) == {*SAVERS, "RestoreV2"}


@pytest.mark.parametrize("op", ["WriteFile", "ReadFile", "EagerPyFunc", "PrintV2"])
@pytest.mark.parametrize("saver", ["_traced_save", "_traced_restore"])
def test_other_unsafe_ops_are_found_in_the_savers_functions(copy, op, saver):
    _edited(copy, lambda saved: _function(saved.meta_graphs[0], saver).node_def.add(name="new", op=op))
    assert found(inspection.unsafe_ops(copy)) == {op}


def test_a_model_that_names_its_signature_as_saver_wins_nothing(tmp_path):
    folder = save(tmp_path / "1", lambda x: {"y": (UNSAFE["SaveV2"](x), x)[1]})

    def edit(saved):
        graph = saved.meta_graphs[0]
        graph.saver_def.save_tensor_name = graph.signature_def["encode"].outputs["y"].name

    assert "SaveV2" in found(inspection.unsafe_ops(_edited(folder, edit)))


def test_pinned_devices_are_those_of_the_model_not_of_the_saver(tmp_path):
    def function(x):
        with tf.device("/CPU:0"):
            return {"y": tf.exp(x)}

    (finding,) = (f for f in graph_checks.pinned_devices(save(tmp_path / "1", function)) if f.op == "Exp")
    assert "CPU:0" in finding.reason.upper()


@pytest.mark.parametrize(
    ("function", "dtype", "op", "reason"),
    [
        (tf.linalg.expm, tf.float32, None, None),
        (tf.exp, tf.float32, None, None),
        (lambda x: tf.cast(x, tf.float32), tf.int64, None, None),
        (lambda x: tf.matmul(x, x, transpose_b=True), tf.float32, None, None),
        (lambda x: tf.matmul(x, x, transpose_b=True), tf.int64, "MatMul", "no GPU kernel for T=int64"),
        (lambda x: tf.raw_ops.UniqueWithCounts(x=x[:, 0])[0], tf.string, None, None),
        (lambda x: tf.raw_ops.Multinomial(logits=x, num_samples=1), tf.float32, None, None),
        (lambda x: tf.nn.fractional_max_pool(x[:, :, None, None], 1.5)[0], tf.float32, "FractionalMaxPool", "no GPU"),
    ],
)  # fmt: skip
def test_arithmetic_without_a_gpu_kernel_is_found_with_its_types(tmp_path, function, dtype, op, reason):
    spec = tf.TensorSpec([3, 3], dtype)
    findings = graph_checks.ops_without_gpu_kernel(save(tmp_path / "1", lambda x: {"y": function(x)}, spec))
    assert found(findings) == ({op} if op else set())
    assert all(finding.reason.startswith(reason) for finding in findings)


def test_a_damaged_file_is_named(copy):
    path = copy / "saved_model.pb"
    content = path.read_bytes()
    for length in [*range(0, 40), *range(40, len(content), 501), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"saved_model\.pb is (truncated or damaged|empty or truncated).* again"):
            inspection.unsafe_ops(copy)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match=r"saved_model\.pb is truncated or damaged"):
        graph_checks.ops(copy)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"saved_model\.pb"):
        inspection.unsafe_ops(tmp_path)


@pytest.mark.parametrize("name", ["saved_model.pbtxt", "saved_model.cpb"])
def test_a_second_graph_beside_the_one_that_is_read_is_refused(copy, name):
    (copy / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"has a {name}, which TensorFlow may load instead of"):
        inspection.unsafe_ops(copy)
