#!/usr/bin/env python3
"""Bytes of training by the plan, by the GPU's driver and beside PyTorch, from batch 1 to most of the card.

The network is wide (256-4096-4096-10, ReLU, Adam, fp32), so that few samples fill the card; the data
set lies on the GPU as bytes in both programs. Batch sizes are powers of two and one whose plan takes
--share of the card, found from two plans. Each program runs two updates at each batch size, the second
with the optimizer's state there, in a process of its own. The driver's figure is the most that its used
bytes (NVML) grew while that process lived, context included; another program that takes or frees the
GPU's memory meanwhile spoils it. Writes Markdown to standard output, or with --json one object.

    profiling/compare_pytorch_memory.py --program build/bin/batchwise > profiling/results/FILE.md
    profiling/compare_pytorch_memory.py --dry-run --card-bytes 85899345920   # no GPU: batches and plans
"""
import argparse
import ctypes
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from compare_pytorch_cpu import EXPERIMENT
from compare_pytorch_gpu import PyTorch

MIB = 1 << 20
BAR_SHARE, BAR_BYTES = 0.005, 32 * MIB  # planned against the driver's figure: whichever is larger
LEAST_SHARE = 0.6  # of the card, that the largest plan must take for the bar to be decided
PLANNED_BATCHES = (98304, 131072)  # partial sums have as many levels at both, so the rest is linear
SETTLE_SECONDS = 3


class Driver:
    """The driver's figures of the first visible GPU, by a library that needs no context there."""

    def __init__(self):
        # CUDA counts GPUs as NVML does, or by itself from the fastest.
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        self.library = ctypes.CDLL("libnvidia-ml.so.1")
        self.gpu = ctypes.c_void_p()
        self.call("nvmlInit_v2")
        if visible.isdigit():
            self.call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(visible)), ctypes.byref(self.gpu))
        else:
            self.call("nvmlDeviceGetHandleByUUID", visible.encode(), ctypes.byref(self.gpu))
        self.at_start = self.used_bytes()

    def call(self, function, *arguments):
        status = getattr(self.library, function)(*arguments)
        if status != 0:
            raise OSError(f"{function} returned {status}")

    def memory(self):
        """Total, free and used bytes."""
        bytes_of = (ctypes.c_ulonglong * 3)()
        self.call("nvmlDeviceGetMemoryInfo", self.gpu, bytes_of)
        return list(bytes_of)

    def total_bytes(self):
        return self.memory()[0]

    def used_bytes(self):
        return self.memory()[2]

    def settled_bytes(self):
        """Used bytes once those of a process that has ended are given back."""
        until = time.monotonic() + SETTLE_SECONDS
        while self.used_bytes() > self.at_start and time.monotonic() < until:
            time.sleep(0.01)
        self.at_start = max(self.at_start, self.used_bytes())  # what another program keeps
        return self.used_bytes()

    def name(self):
        text = ctypes.create_string_buffer(96)
        self.call("nvmlDeviceGetName", self.gpu, text, ctypes.c_uint(len(text)))
        return text.value.decode()


def watched(driver, function, *arguments):
    """What function returns, run in a process of its own, and the most that the driver's used bytes
    grew meanwhile (None without a driver). What it raises comes back as {"failed": text}."""
    forking = multiprocessing.get_context("fork")  # what is imported and drawn is there at once
    receiver, sender = forking.Pipe(duplex=False)

    def run():
        try:
            sender.send(function(*arguments))
        except Exception as error:  # whatever it is, it belongs into the row
            lines = str(error).strip().splitlines()
            sender.send({"failed": lines[0] if lines else type(error).__name__})

    before = driver.settled_bytes() if driver else 0
    most = before
    process = forking.Process(target=run)
    process.start()
    sender.close()
    while not receiver.poll(0.0005):
        most = max(most, driver.used_bytes() if driver else 0)
    try:
        result = receiver.recv()
    except EOFError:
        process.join()
        result = {"failed": f"the process ended with exit status {process.exitcode}"}
    process.join()
    return result, most - before if driver else None


class Ours:
    """`batchwise memory` of the network on a data set of its own."""

    def __init__(self, arguments, folder, images, labels):
        dense = '{{type="dense",units={},activation="{}"}}'.format
        layers = ",".join((dense(arguments.width, "relu"), dense(arguments.width, "relu"), dense(10, "none")))
        np.savez(folder / "data.npz", x_train=images, y_train=labels)
        (folder / "experiment.toml").write_text(EXPERIMENT.format(path=folder / "data.npz"))
        self.command = [arguments.program, "memory", str(folder / "experiment.toml"), "--json", "--device",
                        arguments.device, "--progress", "none", "--set", f"model.layers=[{layers}]"]

    def row(self, batch, *options):
        """Of one batch size. Raises RuntimeError with what the program says is wrong."""
        process = subprocess.run([*self.command, "--batch-sizes", str(batch), *options],
                                 capture_output=True, text=True)
        try:
            answer = json.loads(process.stdout)
        except ValueError:
            answer = {"error": (process.stderr.strip().splitlines() or ["no output"])[-1]}
        if process.returncode != 0:
            raise RuntimeError(f"exit status {process.returncode}: {answer.get('error')}")
        row = answer["result"]["rows"][0]
        if row["refused"]:
            raise RuntimeError(f"refused: {row['refused']}")
        return row

    def measured_row(self, batch):
        return self.row(batch, "--measure")


class Wide(PyTorch):
    """The same network and step in PyTorch."""

    def __init__(self, torch, images, labels, batch, width):
        self.torch, self.batch = torch, batch
        self.images, self.labels = torch.from_numpy(images).cuda(), torch.from_numpy(labels).cuda()
        nn = torch.nn
        self.model = nn.Sequential(nn.Linear(images.shape[1], width), nn.ReLU(), nn.Linear(width, width),
                                   nn.ReLU(), nn.Linear(width, 10)).cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001, fused=True)
        self.loss_of = nn.CrossEntropyLoss()
        self.ids = torch.arange(batch, device="cuda")


def measure_pytorch(torch, images, labels, batch, width):
    """Bytes of PyTorch's allocator after two steps."""
    torch.backends.cuda.matmul.allow_tf32 = False
    peer = Wide(torch, images, labels, batch, width)
    for _ in range(2):
        peer.step()
    torch.cuda.synchronize()
    return {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}


def import_pytorch(device):
    """The module, or None and why PyTorch's columns stay empty. Starts nothing on the GPU, as the
    processes that are forked could then not use it."""
    if device != "cuda":
        return None, f"it counts the memory of GPUs alone, and this is {device}"
    try:
        import torch
    except ImportError as error:
        return None, str(error)
    return (torch, "") if torch.version.cuda else (None, f"PyTorch {torch.__version__} is built without CUDA")


def draw_data(samples, features):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (samples, features), np.uint8), random.integers(0, 10, samples)


def largest_batch(arguments, card_bytes):
    """The batch whose plan, for a training set of as many samples, takes --share of the card."""
    planned = []
    for batch in PLANNED_BATCHES:
        with tempfile.TemporaryDirectory() as folder:
            ours = Ours(arguments, Path(folder), *draw_data(batch, arguments.features))
            planned.append(ours.row(batch)["training"]["total_bytes"])
    first, second = PLANNED_BATCHES
    sample_bytes = (planned[1] - planned[0]) / (second - first)
    batch = int(first + (arguments.share * card_bytes - planned[0]) / sample_bytes)
    if batch < 1:
        raise RuntimeError(f"{arguments.share:.0%} of the card do not hold the network; use a lower --width")
    return batch


def chosen_batches(largest):
    """The largest, 1, and then the powers of two from a wide raster to a fine one: what is left out
    for want of time lies between others."""
    exponents = range(1, (largest * 3 // 4).bit_length())  # not one beside the largest
    return list(dict.fromkeys([largest, 1, *(2**i for i in sorted(exponents, key=lambda i: -(i & -i)))]))


def measure_batch(arguments, driver, ours, torch, data, batch):
    """One row, all in bytes. Without a GPU to ask, nothing of the driver's; in a dry run the plan."""
    if arguments.dry_run:
        found, driver_bytes = watched(None, ours.row, batch)
    else:
        found, driver_bytes = watched(driver, ours.measured_row, batch)
    row = {"batch": batch}
    if "failed" in found:
        row["failed"] = found["failed"]
    else:
        total, overhead = (found["training"][name] for name in ("total_bytes", "overhead_bytes"))
        row.update(planned=total - overhead, with_overhead=total)
        if found["measured"]:
            row["allocated"] = found["measured"]["allocator_bytes"]
            row["grown_after_context"] = found["measured"]["driver_bytes"]
        if driver_bytes is not None:
            row.update(driver=driver_bytes, difference=total - driver_bytes)
    if torch:
        row["pytorch"], peer_bytes = watched(driver, measure_pytorch, torch, *data, batch, arguments.width)
        if "failed" not in row["pytorch"]:
            row["pytorch"]["driver"] = peer_bytes
    return row


def within_bar(difference, row):
    return abs(difference) <= max(BAR_SHARE * row["driver"], BAR_BYTES)


def verdict(result):
    """The closing line, and whether the bar is met: None where it is not decided."""
    rows = [row for row in result["rows"] if "driver" in row]
    failed = [str(row["batch"]) for row in result["rows"] if "failed" in row]
    if not rows:
        return "The driver's figure was not measured, so the bar is not decided.", None
    worst = max(rows, key=lambda row: abs(row["difference"]))
    within = sum(within_bar(row["difference"], row) for row in rows)
    share = max(row["planned"] for row in rows) / result["card_bytes"]
    undecided = "" if share >= LEAST_SHARE else f"largest plan {share:.0%} of the card"
    if failed:
        undecided = f"batch {', '.join(failed)} failed"
    met = False if within < len(rows) else None if undecided else True
    overheads = [row["driver"] - row["allocated"] for row in rows]
    overhead = statistics.median_low(overheads)
    others = [row["planned"] + overhead - row["driver"] for row in rows]
    met_then = all(within_bar(other, row) for other, row in zip(others, rows))
    said = {True: "met", False: "not met", None: f"not decided: {undecided}"}[met]
    return (f"Largest |planned + overhead - driver|: {abs(worst['difference'])} bytes "
            f"({100 * abs(worst['difference']) / worst['driver']:.2f} %) at batch {worst['batch']}; the bar, "
            f"within 0.5 % or 32 MiB, holds at {within} of {len(rows)} batch sizes: {said}. Measured overhead "
            f"(driver - allocated): median {overhead} bytes, from {min(overheads)} to {max(overheads)}; with "
            f"the median the largest difference is {max(map(abs, others))} bytes, the bar "
            f"{'met' if met_then else 'not met'}."), met


def markdown(result):
    shape = "-".join(map(str, (result["features"], result["width"], result["width"], 10)))
    lines = [f"{result['device']}, {result['card_bytes'] / MIB:.0f} MiB. Network {shape}, ReLU, Adam, fp32; "
             f"{result['samples']} samples as bytes on the device. MiB; the difference is planned + overhead "
             "less driver.", "",
             "| batch | planned | + overhead | allocated | driver | difference, bytes | % | "
             "PyTorch allocated | reserved | driver |", "| ---: " * 10 + "|"]
    cell = lambda row, name: f"{row[name] / MIB:.1f}" if row.get(name) is not None else "-"
    for row in result["rows"]:
        cells = [cell(row, name) for name in ("planned", "with_overhead", "allocated", "driver")]
        if "failed" in row:
            cells[0] = row["failed"].replace("|", "\\|")
        share = f"{100 * row['difference'] / row['driver']:+.2f}" if row.get("driver") else "-"
        cells += [f"{row['difference']:+d}" if "difference" in row else "-", share]
        peer = row.get("pytorch", {})
        cells += [cell(peer, name) for name in ("allocated", "reserved", "driver")]
        if "failed" in peer:
            cells[-3] = peer["failed"].replace("|", "\\|")
        lines.append(f"| {row['batch']} | {' | '.join(cells)} |")
    if result["left_out"]:
        lines += ["", f"Left out for want of time: batch {', '.join(map(str, result['left_out']))}."]
    lines += ["", f"PyTorch {result['pytorch']}: eager, fused Adam." if result["pytorch"] else
              f"PyTorch was not measured: {result['no_pytorch']}."]
    return "\n".join([*lines, "", result["verdict"]])


def measure(arguments, result, driver, torch, began):
    """Fills the rows."""
    largest = largest_batch(arguments, result["card_bytes"])
    batches = chosen_batches(largest)
    if arguments.batch_sizes:
        batches = list(dict.fromkeys([*map(int, arguments.batch_sizes.split(",")), largest]))
    if max(batches) > largest:
        raise RuntimeError(f"--batch-sizes: at most {largest}, {arguments.share:.0%} of the card")
    data = draw_data(largest, arguments.features)
    result["samples"] = len(data[0])
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(arguments, Path(folder), *data)
        for batch in batches:
            if time.monotonic() - began > arguments.seconds:
                result["left_out"].append(batch)
                continue
            result["rows"].append(measure_batch(arguments, driver, ours, torch, data, batch))
    result["rows"].sort(key=lambda row: row["batch"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/bin/batchwise")
    parser.add_argument("--batch-sizes", help="in this order, before the largest; default: powers of two")
    parser.add_argument("--share", type=float, default=0.65, help="of the card, that the largest plan takes")
    parser.add_argument("--card-bytes", type=int, default=0, help="0: what the driver says")
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--width", type=int, default=4096, help="units of the two hidden layers")
    parser.add_argument("--seconds", type=float, default=600, help="no batch size is begun after them")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu", "emulated"))
    parser.add_argument("--dry-run", action="store_true", help="plan alone; needs --card-bytes and no GPU")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.card_bytes and (arguments.dry_run or arguments.device != "cuda"):
        parser.error("--dry-run, and a device that is no GPU, need --card-bytes")
    began = time.monotonic()
    measures_gpu = arguments.device == "cuda" and not arguments.dry_run
    driver = Driver() if measures_gpu else None
    torch, reason = (None, "this is a dry run") if arguments.dry_run else import_pytorch(arguments.device)
    result = {"pytorch": torch.__version__ if torch else None, "no_pytorch": reason,
              "device": driver.name() if driver else f"planned for {arguments.device}",
              "card_bytes": arguments.card_bytes or driver.total_bytes(), "features": arguments.features,
              "width": arguments.width, "rows": [], "left_out": []}
    measure(arguments, result, driver, torch, began)
    result["verdict"], result["bar_met"] = verdict(result)
    result["markdown"] = markdown(result)
    print(json.dumps(result) if arguments.json else result["markdown"])


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError) as error:
        sys.exit(f"compare_pytorch_memory: {error}")
