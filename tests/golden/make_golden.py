#!/usr/bin/env python3
"""Makes the golden files: for each case an experiment NAME.toml and a NAME.npz with its data and
what PyTorch in double makes of it (arrays are listed in README.md). Run it with a Python that has
numpy and torch; the same versions give the same bytes.

    python tests/golden/make_golden.py
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

sys.dont_write_bytecode = True
from torch_training import train  # noqa: E402

FOLDER = Path(__file__).parent


def dense(units, activation=None, **options):
    layer = {"type": "dense", "units": units}
    return layer | ({"activation": activation} if activation else {}) | options


def layer(kind, **options):
    return {"type": kind} | options


MLP = [dense(8, "tanh"), dense(3)]
DEEP = [dense(8, "tanh"), dense(6, "relu"), dense(3)]
SGD = {"name": "sgd", "learning_rate": 0.1}


def case(name, layers=MLP, optimizer=SGD, schedule=None, shape=(6,), samples=22, batch_size=8,
         epochs=2, seed=7, data=None, kind="float", scale=1.0, shift=0.0, **training):
    """A case: 22 samples in batches of 8 are ragged, 8 + 8 + 6."""
    experiment = {"seed": seed,
                  "data": {"kind": "npz", "path": f"{name}.npz"} | (data or {}),
                  "model": {"layers": layers},
                  "optimizer": optimizer,
                  "schedule": schedule or {},
                  "training": {"epochs": epochs, "batch_size": batch_size} | training}
    return {"name": name, "experiment": experiment, "shape": shape, "samples": samples,
            "kind": kind, "scale": scale, "shift": shift}


def layer_cases():
    for function in ("relu", "leaky_relu", "gelu", "tanh", "sigmoid"):
        yield case(f"activation_{function}", [
            layer("activation", activation=function), dense(8, function), dense(6),
            layer("activation", activation=function), dense(3)])
    yield case("dense_one_layer", [dense(3)])
    yield case("dense_without_bias", [dense(8, "tanh", bias=False), dense(3, bias=False)])
    yield case("dense_named", [dense(8, "tanh", name="first", init="glorot_uniform"),
                               dense(3, "softmax", name="logits", init="kaiming_uniform")])
    yield case("dense_wide", [dense(9, "relu"), dense(3)], shape=(300,), samples=20,
               data={"normalize": "none"})
    yield case("dense_image", [layer("flatten"), *DEEP], shape=(2, 3, 4))
    yield case("cross_entropy_large_logits", [dense(8), dense(5)], scale=100.0,
               optimizer=SGD | {"learning_rate": 1e-3})
    yield case("cross_entropy_two_classes", [dense(4, "gelu"), dense(2)])
    yield case("dropout", [dense(10, "relu"), layer("dropout", rate=0.5), dense(9, "tanh"),
                           layer("dropout", rate=0.1), dense(3)])
    yield case("dropout_of_input", [layer("dropout", rate=0.25), layer("dropout", rate=0.0),
                                    layer("flatten"), layer("dropout", rate=0.3, name="second"),
                                    *MLP], shape=(2, 3, 3), seed=2**62 + 12345)
    yield case("dropout_micro_batches", [dense(10, "relu"), layer("dropout", rate=0.5), dense(3)],
               micro_batch_size=3)


def batchnorm_cases():
    def network(*first, **options):
        return [*first, dense(8), layer("batchnorm", **options),
                layer("activation", activation="tanh"), dense(6, "relu"),
                layer("batchnorm", **options), dense(3)]

    image = [layer("batchnorm"), layer("activation", activation="gelu"), layer("flatten"), *MLP]
    yield case("batchnorm_batch", network(group="batch", momentum=0.3, epsilon=1e-3))
    yield case("batchnorm_of_input", [layer("batchnorm"), *MLP], shift=1000.0)
    yield case("batchnorm_after_bias", [dense(8, bias=True), layer("batchnorm"), dense(3)])
    yield case("batchnorm_group", network(group=4))
    yield case("batchnorm_group_ragged", network(group=3))
    yield case("batchnorm_group_micro_batches", network(group=2), micro_batch_size=4)
    yield case("batchnorm_batch_adam", network(), {"name": "adam", "learning_rate": 0.01})
    yield case("batchnorm_image", image, shape=(3, 2, 4))
    yield case("batchnorm_image_last_of_one", image, shape=(3, 2, 4), samples=17)
    yield case("batchnorm_image_group", [image[0] | {"group": 3}, *image[1:]], shape=(3, 2, 4))
    yield case("batchnorm_frozen", [dense(8), layer("batchnorm", trainable=False), dense(6),
                                    layer("batchnorm"), dense(3)])
    yield case("batchnorm_frozen_image", [layer("batchnorm"),
                                          layer("batchnorm", trainable=False), *image[1:]],
               shape=(3, 2, 4))


def optimizer_cases():
    def rule(name, learning_rate, **options):
        return {"name": name, "learning_rate": learning_rate} | options

    adam = rule("adam", 0.01)
    yield case("sgd", DEEP, SGD)
    yield case("sgd_momentum", DEEP, SGD | {"momentum": 0.9})
    yield case("sgd_nesterov", DEEP, SGD | {"momentum": 0.9, "nesterov": True})
    yield case("sgd_weight_decay", DEEP, SGD | {"momentum": 0.5, "weight_decay": 0.1})
    yield case("adam", DEEP, adam)
    yield case("adam_options", DEEP, adam | {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3})
    yield case("adam_weight_decay", DEEP, adam | {"weight_decay": 0.1})
    yield case("adamw", DEEP, rule("adamw", 0.01))
    yield case("adamw_weight_decay", DEEP, rule("adamw", 0.01, weight_decay=0.1))
    yield case("rmsprop", DEEP, rule("rmsprop", 0.01))
    yield case("rmsprop_options", DEEP, rule("rmsprop", 0.01, alpha=0.9, epsilon=1e-3,
                                             weight_decay=0.1))
    yield case("rmsprop_momentum", DEEP, rule("rmsprop", 0.01, momentum=0.9))
    yield case("clip_always", DEEP, SGD | {"clip_global_norm": 0.1})
    yield case("clip_sometimes", DEEP, SGD | {"learning_rate": 0.5, "clip_global_norm": 0.45})
    yield case("clip_weight_decay", DEEP, adam | {"weight_decay": 0.1, "clip_global_norm": 0.2})


def training_cases():
    yield case("accumulation_mean", DEEP, micro_batch_size=3)
    yield case("accumulation_mean_adam", DEEP, {"name": "adam", "learning_rate": 0.01},
               micro_batch_size=1)
    # Micro-batches of one size: see "accumulation" in docs/experiment.md for a smaller last one.
    yield case("accumulation_sum", DEEP, samples=20, micro_batch_size=4, accumulation="sum")
    yield case("accumulation_sum_clip", DEEP, SGD | {"clip_global_norm": 0.5}, samples=20,
               micro_batch_size=2, accumulation="sum")
    yield case("batch_of_one", DEEP, samples=5, batch_size=1)
    yield case("batch_of_all", DEEP, samples=22, batch_size=22, epochs=4)
    yield case("batch_of_chunks", DEEP, shape=(4,), samples=1300, batch_size=700,
               micro_batch_size=300)
    yield case("frozen_first", [dense(8, "tanh", trainable=False), *DEEP[1:]],
               SGD | {"weight_decay": 0.1, "clip_global_norm": 0.3})
    yield case("frozen_middle", [DEEP[0], dense(6, "relu", trainable=False), DEEP[2]],
               {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1})
    yield case("frozen_last", [*DEEP[:2], dense(3, trainable=False)])
    yield case("normalize_unit", [layer("flatten"), *MLP], shape=(2, 3, 4), kind="bytes",
               data={"normalize": "unit"})
    yield case("normalize_standardize", scale=3.0, shift=10.0, data={"normalize": "standardize"})
    yield case("normalize_standardize_image", [layer("flatten"), *MLP], shape=(2, 3, 4),
               kind="bytes", data={"normalize": "standardize"})


def schedule_cases():
    """Four updates an epoch, but for the ragged one."""
    def schedule(name, config, epochs=3, optimizer=SGD, samples=16, batch_size=4):
        return case(name, optimizer=optimizer, schedule=config, epochs=epochs, samples=samples,
                    batch_size=batch_size)

    yield schedule("schedule_constant_warmup", {"kind": "constant", "warmup_epochs": 1.5})
    yield schedule("schedule_step", {"kind": "step", "at": [1.0, 1.75], "factor": 0.3})
    yield schedule("schedule_step_warmup",
                   {"kind": "step", "at": [1.0, 2.0], "warmup_epochs": 0.5})
    yield schedule("schedule_exponential", {"kind": "exponential", "factor": 0.5}, samples=15)
    yield schedule("schedule_cosine", {"kind": "cosine", "to": 0.1})
    yield schedule("schedule_cosine_warmup", {"kind": "cosine", "warmup_epochs": 1.0})
    yield schedule("schedule_one_cycle", {"kind": "one_cycle", "to": 0.01}, epochs=5)
    yield schedule("scaling_linear", {"kind": "cosine"},
                   optimizer=SGD | {"learning_rate_scaling": "linear"})
    yield schedule("scaling_sqrt", {},
                   optimizer=SGD | {"learning_rate_scaling": "sqrt", "reference_batch_size": 8})


def toml_value(value):
    if isinstance(value, dict):
        pairs = (f"{key} = {toml_value(item)}" for key, item in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value) if isinstance(value, (bool, str)) else repr(value)


def toml(experiment):
    text = f"seed = {experiment['seed']}\n"
    for section in ("data", "model", "optimizer", "schedule", "training"):
        if not experiment[section]:
            continue
        text += f"\n[{section}]\n"
        for key, value in experiment[section].items():
            if key == "layers":
                rows = "".join(f"  {toml_value(row)},\n" for row in value)
                text += f"layers = [\n{rows}]\n"
            else:
                text += f"{key} = {toml_value(value)}\n"
    return text


def draw_features(case_, count, generator):
    shape = (count, *case_["shape"])
    if case_["kind"] == "bytes":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return (generator.normal(0.0, case_["scale"], shape) + case_["shift"]).astype(np.float32)


def normalized(case_, x_train, x):
    """As docs/experiment.md says; shift and divisor are stored in float32."""
    kind = case_["experiment"]["data"].get("normalize", "auto")
    if kind == "unit":
        return x.astype(np.float64) / 255.0
    if kind != "standardize":
        return x.astype(np.float64)
    values = x_train.astype(np.float64)
    axes = (0, 2, 3) if values.ndim == 4 else (0,)
    shift, divisor = (statistic.astype(np.float32).astype(np.float64) for statistic in
                      (values.mean(axes, keepdims=True), values.std(axes, keepdims=True)))
    return (x.astype(np.float64) - shift) / divisor


def make(case_):
    experiment = case_["experiment"]
    generator = np.random.default_rng(zlib.crc32(case_["name"].encode()))
    classes = experiment["model"]["layers"][-1]["units"]
    training, samples = experiment["training"], case_["samples"]
    x_train, x_test = (draw_features(case_, count, generator) for count in (samples, 9))
    y_train, y_test = (generator.integers(0, classes, count) for count in (samples, 9))
    batch_size = training["batch_size"]
    steps_per_epoch = -(-samples // batch_size)
    batches = [batch for _ in range(training["epochs"])
               for batch in np.split(generator.permutation(samples),
                                     range(batch_size, samples, batch_size))]
    padded = np.full((len(batches), batch_size), -1, dtype=np.int32)
    for row, batch in zip(padded, batches):
        row[:len(batch)] = batch
    record = train(experiment, normalized(case_, x_train, x_train), y_train,
                   normalized(case_, x_train, x_test), y_test, batches, steps_per_epoch, generator)
    (FOLDER / f"{case_['name']}.toml").write_text(toml(experiment))
    np.savez_compressed(FOLDER / f"{case_['name']}.npz", x_train=x_train,
                        y_train=y_train.astype(np.int32), x_test=x_test,
                        y_test=y_test.astype(np.int32), batches=padded, **record)


def main():
    torch.set_num_threads(1)
    for kind in ("*.toml", "*.npz"):
        for old in FOLDER.glob(kind):
            old.unlink()
    for cases in (layer_cases, batchnorm_cases, optimizer_cases, training_cases, schedule_cases):
        for case_ in cases():
            make(case_)


if __name__ == "__main__":
    main()
