#!/usr/bin/env python3
"""Every check that needs an NVIDIA GPU, on what is built: the tests, verify, compute-sanitizer over the
kernels' tests, and comparisons with PyTorch in time and in memory. ./dev gpu builds and runs it; by
itself it needs Python's standard library and nothing from a registry.

    profiling/gpu_checks.py [--build build] [--out profiling/results] [--commit ID]

Each step has a time limit, nine minutes in all, and one that fails does not stop the others. Writes
gpu-<device>-<date>.json and .md to --out. The exit status is 0 where no step failed, 1 where one did,
and 2 where there is no GPU.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shlex
import shutil
import signal
import site
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GPU_TESTS = ("test_cuda", "test_devices")  # take turns on the GPU
LONG_TESTS = ("test_kill",)  # minutes, and nothing of a GPU in them: ./dev test --long
SANITIZER_TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")

# Seconds that a step of each kind may take, and all together.
TEST_SECONDS = 120
VERIFY_SECONDS = 60
SANITIZER_SECONDS = 150
PYTORCH_SECONDS = 150
MEMORY_SECONDS = 90
TOTAL_SECONDS = 525
BEGAN = time.monotonic()


class Failed(Exception):
    """What is wrong with a step's output."""


class Skipped(Exception):
    """Why a step could not be run here."""


@dataclass
class Result:
    name: str
    command: str
    status: str  # passed, failed or skipped
    seconds: float
    detail: str
    output_tail: str = ""  # of a step that failed
    data: dict = field(default_factory=dict)


def run_command(command, limit_seconds, environment):
    """Exit status, standard output and standard error; None for the status where the time ran out.
    What the command started is ended with it."""
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          start_new_session=True) as process:
        try:
            output = process.communicate(timeout=limit_seconds)
            return process.returncode, *output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None, *process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def run_step(name, command, judge, limit_seconds, environment=None):
    """Runs a command within its limit and what is left of the whole's. judge(status, stdout, all of
    the output) returns a detail and data to record, or raises Failed or Skipped."""
    began = time.monotonic()
    limit_seconds = min(limit_seconds, BEGAN + TOTAL_SECONDS - began)
    output, data = "", {}
    try:
        if limit_seconds <= 0:
            raise Failed("no time was left for it")
        status, stdout, stderr = run_command(command, limit_seconds, environment)
        output = stdout + stderr
        if status is None:
            raise Failed(f"did not end within {limit_seconds:.0f} s")
        detail, data = judge(status, stdout, output)
        result = "passed"
    except (Failed, Skipped, OSError) as error:
        result, detail = "skipped" if isinstance(error, Skipped) else "failed", str(error)
    tail = "\n".join(output.splitlines()[-30:]) if result == "failed" else ""
    return Result(name, shlex.join(map(str, command)), result, round(time.monotonic() - began, 2), detail,
                  tail, data)


def tests_passed(output):
    """How many tests GoogleTest says passed."""
    found = re.search(r"^\[  PASSED  \] (\d+) tests?\.", output, re.M)
    return int(found[1]) if found else 0


def judge_test(status, _, output):
    if status != 0:
        names = re.findall(r"^\[  FAILED  \] ([\w./]+)(?:,|$| \()", output, re.M)
        raise Failed(f"exit status {status}; failed: {', '.join(dict.fromkeys(names)) or 'see the output'}")
    passed = tests_passed(output)
    if passed == 0:
        raise Failed("no test passed")
    skipped = re.search(r"^\[  SKIPPED \] (\d+) tests?", output, re.M)
    return f"{passed} tests passed" + (f", {skipped[1]} skipped" if skipped else ""), {"passed": passed}


def judge_verify(status, stdout, _):
    """One JSON object with the result of this device."""
    try:
        answer = json.loads(stdout)
    except ValueError:
        raise Failed(f"exit status {status} without one JSON object on standard output") from None
    result = answer.get("result")
    if not isinstance(result, dict):
        raise Failed(f"exit status {status}: {answer.get('error', 'no result')}")
    operations = result.get("operations", [])
    checked = operations + result.get("plans", []) + result.get("invariance", [])
    wrong = [item.get("operation") or item["name"] for item in checked if not item["passed"]]
    if status != 0 or not result.get("passed") or wrong:
        raise Failed(f"exit status {status}; failed: {', '.join(wrong) or result.get('lost_device')}")
    if not operations or not str(result.get("device", "")).startswith("cuda"):
        raise Failed(f"{len(operations)} operations verified on {result.get('device')}")
    worst = max((item["worst_error"] for item in operations if item["worst_error"] is not None), default=0)
    return (f"{len(operations)} operations, {sum(item['cases'] for item in operations)} cases, largest "
            f"error {worst:.3g} of its bound"), result


def judge_verify_fast(status, stdout, output):
    if status == 2:  # the mode is younger than the command
        lines = output.strip().splitlines()
        raise Skipped(f"not supported: {lines[-1] if lines else 'exit status 2'}"[:200])
    return judge_verify(status, stdout, output)


def judge_sanitizer(expected_tests):
    """compute-sanitizer closes with a summary; without one it watched nothing."""

    def judge(status, _, output):
        if "terminated before first instrumented API call" in output:
            raise Failed("it saw no CUDA call")
        summary = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) (?:errors?|hazards?).*", output)
        if not summary:
            raise Failed("it wrote no summary, so it did not run")
        if status != 0 or summary[1] != "0":
            raise Failed(f"exit status {status}; {summary[0]}")
        passed = tests_passed(output)
        if passed < max(1, expected_tests):
            raise Failed(f"{passed} tests passed under it, and {expected_tests} without it")
        return f"{summary[0]}, over {passed} tests", {}

    return judge


def judge_pytorch(status, stdout, output):
    if status != 0:
        raise Failed(f"exit status {status}: {(output.strip().splitlines() or [''])[-1]}")
    try:
        data = json.loads(stdout)
    except ValueError:
        raise Failed("no JSON object on standard output") from None
    if not data.get("rows"):
        raise Failed("no batch size was measured")
    return f"PyTorch {data['pytorch']}, {len(data['rows'])} batch sizes", data


def judge_memory(status, stdout, output):
    """A bar that is missed is a result, as the overhead is an assumption; a batch that fails is not."""
    _, data = judge_pytorch(status, stdout, output)
    failed = [f"batch {row['batch']}: {row['failed']}" for row in data["rows"] if "failed" in row]
    if failed:
        raise Failed("; ".join(failed))
    said = {True: "met", False: "not met", None: "not decided"}[data["bar_met"]]
    return f"{len(data['rows'])} batch sizes; the bar of the planned bytes is {said}", data


def library_environment():
    """The environment with the folders in which Python's nvidia packages keep CUDA's libraries."""
    sites = [*site.getsitepackages(), site.getusersitepackages(), *sys.path]
    folders = sorted({folder for place in sites if place
                      for folder in glob.glob(f"{glob.escape(place)}/nvidia/*/lib")})
    search = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    return dict(os.environ, LD_LIBRARY_PATH=":".join([*search, *folders]))


def query_gpu():
    """Name, driver, memory and clocks of the first GPU; None without one."""
    fields = ("name", "driver_version", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.mem",
              "clocks.max.mem", "power.limit")
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    values = [value.strip() for value in (output.strip().splitlines() or [""])[0].split(",")]
    return dict(zip(fields, values)) if values[0] else None


def cuda_version():
    """The toolkit's, or else what the driver supports."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    for command, pattern in (([nvcc, "--version"], r"release [\d.]+, V([\d.]+)"),
                             (["nvidia-smi"], r"CUDA Version: *([\d.]+)")):
        try:
            output = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        found = re.search(pattern, output)
        if found:
            return found[1] if command[0] == nvcc else f"driver for {found[1]}"
    return "unknown"


def current_commit():
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def run_tests(binaries, environment):
    """All test executables: those of the GPU one after another, then the others over the cores."""
    tests = sorted(path for path in binaries.glob("test_*") if os.access(path, os.X_OK))
    if not tests:
        return [Result("tests", str(binaries), "failed", 0.0, "no test executable is built")]
    results = []

    def run(path):
        return run_step(path.name, [path], judge_test, TEST_SECONDS, environment)

    for path in tests:
        if path.name in LONG_TESTS:
            results.append(Result(path.name, str(path), "skipped", 0.0, "./dev test --long runs it"))
        elif path.name in GPU_TESTS:
            results.append(run(path))
    others = [path for path in tests if path.name not in (*LONG_TESTS, *GPU_TESTS)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return results + list(pool.map(run, others))


def run_verify(binaries, environment):
    command = [binaries / "batchwise", "verify", "--device", "cuda", "--json"]
    return [run_step("verify", command, judge_verify, VERIFY_SECONDS, environment),
            run_step("verify, fast", [*command, "--numerics", "fast"], judge_verify_fast, VERIFY_SECONDS,
                     environment)]


def run_sanitizer(binaries, expected_tests, environment):
    """The kernels' tests under each tool, side by side."""
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not os.access(program, os.X_OK):
        return [Result("compute-sanitizer", "compute-sanitizer", "skipped", 0.0, "not installed")]

    def run(tool):
        return run_step(tool, [program, "--tool", tool, "--error-exitcode", "9", binaries / "test_cuda"],
                        judge_sanitizer(expected_tests), SANITIZER_SECONDS,
                        dict(environment, BATCHWISE_TEST_GPU_ALONE="1"))

    with concurrent.futures.ThreadPoolExecutor(len(SANITIZER_TOOLS)) as pool:
        return list(pool.map(run, SANITIZER_TOOLS))


def run_comparison(name, script, module, judge, limit_seconds, binaries, environment):
    """A script beside this one that cannot do without `module`."""
    if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode != 0:
        return [Result(name, f"import {module}", "skipped", 0.0, "not installed")]
    command = [sys.executable, ROOT / "profiling" / script, "--program", binaries / "batchwise",
               "--seconds", str(limit_seconds - 40), "--json"]
    return [run_step(name, command, judge, limit_seconds, environment)]


def report_of(machine, results):
    """The results as Markdown."""
    failed = [result for result in results if result.status == "failed"]
    lines = [f"# Checks on {machine['name']}", "",
             f"{'**' + str(len(failed)) + ' failed.** ' if failed else 'None failed. '}"
             f"Commit {machine['commit']}, {machine['date']}. Driver {machine['driver_version']}, CUDA "
             f"{machine['cuda']}, {machine['memory.total']}, clocks at the start (most): multiprocessors "
             f"{machine['clocks.sm']} ({machine['clocks.max.sm']}), memory {machine['clocks.mem']} "
             f"({machine['clocks.max.mem']}).", "", f"Command: `{machine['command']}`", "",
             "| step | result | seconds | |", "| --- | --- | ---: | --- |"]
    for result in results:
        detail = result.detail.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {result.name} | {result.status} | {result.seconds:.1f} | {detail} |")
    for result in results:
        if "markdown" in result.data:
            lines += ["", f"## {result.name}", "", result.data["markdown"].strip()]
    for result in failed:
        lines += ["", f"## {result.name} failed", "", f"`{result.command}`", "", "```",
                  result.output_tail or result.detail, "```"]
    return "\n".join(lines) + "\n"


def write_results(folder, machine, results):
    device = re.sub(r"[^a-z0-9]+", "-", machine["name"].lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gpu-{device}-{machine['date']}"
    record = {"machine": machine, "failed": sum(r.status == "failed" for r in results),
              "steps": [asdict(result) for result in results]}
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    path.with_suffix(".md").write_text(report_of(machine, results))
    return path


def run_all(binaries):
    environment = library_environment()
    results = []

    def take(more):
        for result in more:
            print(f"{result.status:8}{result.seconds:7.1f} s  {result.name}: {result.detail}", flush=True)
        results.extend(more)

    take(run_tests(binaries, environment))
    take(run_verify(binaries, environment))
    expected = next((r.data.get("passed", 0) for r in results if r.name == "test_cuda"), 0)
    take(run_sanitizer(binaries, expected, environment))
    take(run_comparison("PyTorch", "compare_pytorch_gpu.py", "torch", judge_pytorch, PYTORCH_SECONDS,
                        binaries, environment))
    take(run_comparison("memory", "compare_pytorch_memory.py", "numpy", judge_memory, MEMORY_SECONDS,
                        binaries, environment))  # ours alone where PyTorch is missing
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder")
    parser.add_argument("--out", type=Path, default=ROOT / "profiling/results", help="for the results")
    parser.add_argument("--commit", help="recorded with them; default: what git says")
    arguments = parser.parse_args()
    gpu = query_gpu()
    if gpu is None:
        print("gpu_checks: no NVIDIA GPU answers (nvidia-smi), so there is nothing to check here; "
              "./dev test runs the same kernels on the emulated device.", file=sys.stderr)
        return 2
    machine = {**gpu, "cuda": cuda_version(), "commit": arguments.commit or current_commit(),
               "date": time.strftime("%Y-%m-%d"),
               "command": shlex.join(["profiling/gpu_checks.py", *sys.argv[1:]])}
    results = run_all(arguments.build.resolve() / "bin")
    path = write_results(arguments.out, machine, results)
    failed = [result.name for result in results if result.status == "failed"]
    print(f"Results: {path}.json and .md" + (f". FAILED: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
