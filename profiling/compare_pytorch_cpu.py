#!/usr/bin/env python3
"""Training steps a second beside PyTorch's CPU build: same model, data, batch and threads.

Trains 784-128-10 with ReLU and Adam on Fashion-MNIST, or on random bytes of its shape where --data is
not given. The two programs take turns (A B A B); the table gives the median of the rounds and their
spread. PyTorch's data are floats in memory, normalised before the clock starts; ours are bytes that
each step gathers and normalises. Writes Markdown to standard output.

    profiling/compare_pytorch_cpu.py --program build/bin/batchwise --data DIR > profiling/results/FILE.md
"""
import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EXPERIMENT = """
[data]
kind = "npz"
path = "{path}"
normalize = "unit"
[model]
layers = [{{ type = "flatten" }},
          {{ type = "dense", units = 128, activation = "relu" }},
          {{ type = "dense", units = 10 }}]
[optimizer]
name = "adam"
[training]
epochs = 1000
checkpoint_seconds = 1000.0
"""


def load_data(folder):
    """Images [60000, 784] and labels as bytes."""
    if folder is None:
        random = np.random.default_rng(0)
        return (random.integers(0, 256, (60000, 784), dtype=np.uint8),
                random.integers(0, 10, 60000, dtype=np.uint8))
    read = lambda name, offset: np.frombuffer(
        gzip.open(Path(folder) / name).read(), np.uint8, offset=offset)
    return (read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784),
            read("train-labels-idx1-ubyte.gz", 8))


def ours(program, experiment, folder, batch, steps, threads):
    """Seconds of one update."""
    command = [program, "train", str(experiment), "--json", "--progress", "none", "--device", "cpu",
               "--threads", str(threads), "--batch-size", str(batch), "--overwrite",
               "--out", str(folder / "run"), "--set", f"training.max_steps={steps}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(output)["result"]
    return result["training_seconds"] / result["steps"]


PYTORCH = """
import sys, time, numpy, torch
path, batch, steps, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
torch.manual_seed(0)
data = numpy.load(path)
x = torch.from_numpy(data["x_train"]).float() / 255
y = torch.from_numpy(data["y_train"]).long()
model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
loss_of = torch.nn.CrossEntropyLoss()
order = torch.randperm(len(x))
def train(steps):
    for step in range(steps):
        first = step * batch % (len(x) - batch + 1)
        ids = order[first:first + batch]
        optimizer.zero_grad()
        loss_of(model(x[ids]), y[ids]).backward()
        optimizer.step()
train(min(steps, 50))
began = time.perf_counter()
train(steps)
print((time.perf_counter() - began) / steps)
"""


def pytorch(data, batch, steps, threads):
    """Seconds of one update."""
    command = [sys.executable, "-c", PYTORCH, str(data), str(batch), str(steps), str(threads)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return float(subprocess.run(command, check=True, capture_output=True, text=True,
                                env=environment).stdout)


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/bin/batchwise")
    parser.add_argument("--data", help="folder with Fashion-MNIST's .gz files")
    parser.add_argument("--batch-sizes", default="1,2,4,8,32,128,512,1024,2048")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    import torch

    images, labels = load_data(arguments.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.savez(folder / "data.npz", x_train=images, y_train=labels.astype(np.int64))
        (folder / "experiment.toml").write_text(EXPERIMENT.format(path=folder / "data.npz"))
        print(f"Machine: {processor()}, {os.cpu_count()} threads of the processor. "
              f"PyTorch {torch.__version__}, eager. Commit "
              f"{subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True).stdout.strip()}, "
              f"{time.strftime('%Y-%m-%d')}.\n\nCommand: `profiling/compare_pytorch_cpu.py "
              f"--rounds {arguments.rounds}{' --data FASHION_MNIST' if arguments.data else ''}`\n")
        print("784-128-10, ReLU, Adam, fp32, `numerics = invariant`. Microseconds an update, median of "
              "the rounds [least, most]; the ratio is PyTorch's median over ours.\n")
        print("| batch | threads | Batchwise | PyTorch | ratio |\n| ---: | ---: | ---: | ---: | ---: |")
        for threads in map(int, arguments.threads.split(",")):
            for batch in map(int, arguments.batch_sizes.split(",")):
                steps = max(40, min(3000, 200_000 // batch))
                rounds = [(ours(arguments.program, folder / "experiment.toml", folder, batch, steps, threads),
                           pytorch(folder / "data.npz", batch, steps, threads))
                          for _ in range(arguments.rounds)]
                columns = []
                for times in zip(*rounds):
                    micro = [1e6 * t for t in times]
                    columns.append((statistics.median(micro), min(micro), max(micro)))
                cells = [f"{m:.0f} [{low:.0f}, {high:.0f}]" for m, low, high in columns]
                print(f"| {batch} | {threads} | {cells[0]} | {cells[1]} | "
                      f"{columns[1][0] / columns[0][0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
