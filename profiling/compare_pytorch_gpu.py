#!/usr/bin/env python3
"""Training steps a second on the GPU beside PyTorch: same model, same shape of data, same batch.

Trains 784-128-10 with ReLU and Adam in fp32 (no TF32) on random bytes of Fashion-MNIST's shape, which
lie on the GPU before the clock starts. PyTorch runs three ways, with its fused Adam: eager; the step
through torch.compile; and that step as a captured CUDA graph, replayed. Ours are seconds of training
of a long run less those of a short one, over the steps between: starting up is in neither. The
programs take turns (A B A B); the table gives medians of the rounds and their spread. Writes Markdown
to standard output, or with --json one object.

    profiling/compare_pytorch_gpu.py --program build/bin/batchwise > profiling/results/FILE.md
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from compare_pytorch_cpu import EXPERIMENT, load_data

WAYS = ("eager", "compiled", "graph")


def training_seconds(program, folder, batch, steps):
    command = [program, "train", str(folder / "experiment.toml"), "--json", "--progress", "none",
               "--device", "cuda", "--batch-size", str(batch), "--overwrite", "--out",
               str(folder / "run"), "--set", f"training.max_steps={steps}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(output)["result"]
    if result["steps"] != steps:
        raise RuntimeError(f"trained {result['steps']} steps of {steps}")
    return result["training_seconds"]


def ours(program, folder, batch, steps):
    """Seconds of one update."""
    return (training_seconds(program, folder, batch, 2 * steps) -
            training_seconds(program, folder, batch, steps)) / steps


class PyTorch:
    """One model and its step at one batch size."""

    def __init__(self, torch, images, labels, batch, device):
        self.torch, self.images, self.labels, self.batch = torch, images, labels, batch
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(),
                                         torch.nn.Linear(128, 10)).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001, fused=True,
                                          capturable=device == "cuda")
        self.loss_of = torch.nn.CrossEntropyLoss()
        self.order = torch.randperm(len(images), device=device)
        self.ids = self.order[:batch].clone()

    def loss(self):
        pixels = self.images[self.ids].float() / 255
        return self.loss_of(self.model(pixels), self.labels[self.ids])

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss().backward()
        self.optimizer.step()

    def compiled_step(self):
        """The same with forward and backward pass compiled; the fused Adam is one kernel already."""
        self.torch.compiler.reset()  # or the batch sizes would count as recompilations
        loss = self.torch.compile(self.loss, dynamic=False)

        def step():
            self.optimizer.zero_grad(set_to_none=True)
            loss().backward()
            self.optimizer.step()

        return step

    def captured(self, step):
        """The step as a CUDA graph, after warm-up on a stream of its own (PyTorch's documentation)."""
        stream = self.torch.cuda.Stream()
        stream.wait_stream(self.torch.cuda.current_stream())
        with self.torch.cuda.stream(stream):
            for _ in range(5):
                step()
        self.torch.cuda.current_stream().wait_stream(stream)
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            step()
        return graph.replay

    def ways(self, on_gpu):
        """The steps by name; one that this installation cannot make is left out, aloud."""
        made = {}

        def make(name, maker):
            try:
                step = maker()
                for _ in range(5):
                    step()
                made[name] = step
            except Exception as error:  # a compiler that is missing, a capture that fails
                print(f"left out: {name}: {error}", file=sys.stderr)

        make("eager", lambda: self.step)
        make("compiled", self.compiled_step)
        if on_gpu and "compiled" in made:
            make("graph", lambda: self.captured(made["compiled"]))
        return made

    def seconds(self, step, steps, synchronize):
        """Of one update, after one that is not counted."""
        batches = len(self.images) // self.batch

        def train(count):
            for index in range(count):
                first = index % batches * self.batch
                self.ids.copy_(self.order[first:first + self.batch])
                step()
            synchronize()

        train(10)
        began = time.perf_counter()
        train(steps)
        return (time.perf_counter() - began) / steps


def spread(times):
    """Median, least and most, in microseconds."""
    micro = [1e6 * seconds for seconds in times]
    return [statistics.median(micro), min(micro), max(micro)]


def measure_batch(arguments, torch, folder, images, labels, batch):
    """One row: microseconds an update of each program."""
    on_gpu = arguments.device == "cuda"
    synchronize = torch.cuda.synchronize if on_gpu else lambda: None
    peer = PyTorch(torch, images, labels, batch, arguments.device)
    ways = peer.ways(on_gpu)
    steps = arguments.steps or max(200, min(5000, 2_000_000 // batch))
    times = {name: [] for name in ("ours", *ways)}
    for _ in range(arguments.rounds):
        if arguments.program:
            times["ours"].append(ours(arguments.program, folder, batch, steps))
        for name, step in ways.items():
            times[name].append(peer.seconds(step, min(steps, 1000), synchronize))
    return {"batch": batch, **{name: spread(values) for name, values in times.items() if values}}


def markdown(result):
    lines = [f"PyTorch {result['pytorch']}, {result['device']}. Microseconds an update, median of "
             f"{result['rounds']} rounds [least, most]; the ratio is the fastest of PyTorch's over ours.",
             "", "| batch | Batchwise | eager | compiled | CUDA graph | ratio |",
             "| ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in result["rows"]:
        cells = ["{:.1f} [{:.1f}, {:.1f}]".format(*row[name]) if name in row else "-"
                 for name in ("ours", *WAYS)]
        best = min(row[name][0] for name in WAYS if name in row)
        ratio = f"{best / row['ours'][0]:.1f}" if "ours" in row else "-"
        lines.append(f"| {row['batch']} | {' | '.join(cells)} | {ratio} |")
    if result["left_out"]:
        lines += ["", f"Left out for want of time: batch {', '.join(map(str, result['left_out']))}."]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", help="build/bin/batchwise; without it PyTorch alone is measured")
    parser.add_argument("--batch-sizes", default="128,1,1024,8,4096,32,512", help="in this order")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="a round; 0: by batch size")
    parser.add_argument("--seconds", type=float, default=600, help="no batch size is begun after them")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="PyTorch's")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    began = time.monotonic()
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    images, labels = load_data(None)
    result = {"pytorch": torch.__version__, "rounds": arguments.rounds, "rows": [], "left_out": [],
              "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.savez(folder / "data.npz", x_train=images, y_train=labels.astype(np.int64))
        (folder / "experiment.toml").write_text(EXPERIMENT.format(path=folder / "data.npz"))
        on_device = [torch.from_numpy(array).to(arguments.device)
                     for array in (images, labels.astype(np.int64))]
        for batch in map(int, arguments.batch_sizes.split(",")):
            if time.monotonic() - began > arguments.seconds:
                result["left_out"].append(batch)
                continue
            result["rows"].append(measure_batch(arguments, torch, folder, *on_device, batch))
    result["rows"].sort(key=lambda row: row["batch"])
    result["markdown"] = markdown(result)
    print(json.dumps(result) if arguments.json else result["markdown"])


if __name__ == "__main__":
    main()
