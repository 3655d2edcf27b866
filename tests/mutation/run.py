#!/usr/bin/env python3
"""Applies the small faults of mutations.py to the CUDA kernels, one at a time, and reports which test
or which line of `batchwise verify` notices each. Works on a copy of the sources with a build of its
own; exit status 1 if a fault goes unnoticed, does not apply or does not compile.

    tests/mutation/run.py [--build FOLDER] [--only TEXT] [--part 1/2] [--markdown FILE]
"""
import argparse
import dataclasses
import filecmp
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from mutations import MUTATIONS, Mutation  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]
COPIED = ["CMakeLists.txt", "CMakePresets.json", "cmake", "kernels", "engine", "apps", "tests", "profiling"]
TARGETS = ["test_cuda", "batchwise"]
TIME_LIMIT_SECONDS = 300


@dataclasses.dataclass
class Outcome:
    mutation: Mutation
    caught_by: str  # "" when nothing noticed it
    detail: str
    seconds: float


def run(command, **options):
    """The exit status and the output; status 124 where the time limit ran out (a fault may hang)."""
    try:
        done = subprocess.run([str(part) for part in command], text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIME_LIMIT_SECONDS, **options)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return 124, "the time limit ran out"


def copy_if_changed(source, target):
    """With a new time of change, so that what was built from a fault is built again."""
    if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
        shutil.copy(source, target)


def copy_sources(folder):
    for name in COPIED:
        source, target = SOURCE / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, copy_function=copy_if_changed)
        else:
            copy_if_changed(source, target)


def build(folder):
    return run(["cmake", "--build", folder / "build", "--target", *TARGETS])


def prepare(folder):
    folder.mkdir(parents=True, exist_ok=True)
    copy_sources(folder)
    status, output = run(["cmake", "-G", "Ninja", "-S", folder, "-B", folder / "build",
                          "-DBATCHWISE_BUILD_TESTS=ON", "-DBATCHWISE_CUDA=OFF"])
    if status == 0:
        global TIME_LIMIT_SECONDS
        limit, TIME_LIMIT_SECONDS = TIME_LIMIT_SECONDS, 3600
        status, output = build(folder)
        TIME_LIMIT_SECONDS = limit
    if status != 0:
        sys.exit(f"the unchanged sources do not build:\n{output[-3000:]}")


def mutated(text, mutation):
    """The text with the fault, or None where the place is not there exactly once."""
    if text.count(mutation.old) != 1:
        return None
    return text.replace(mutation.old, mutation.new)


def first_match(pattern, output):
    found = re.search(pattern, output, re.MULTILINE)
    return found.group(1).strip() if found else ""


def judge(folder, mutation):
    """Which of the two judges notices the fault, and its first words about it."""
    binaries = folder / "build" / "bin"
    status, output = run([binaries / "test_cuda", "--gtest_brief=1",
                          f"--gtest_filter={mutation.tests}"])
    caught_by, detail = "", ""
    if status != 0:
        caught_by = "test_cuda"
        detail = first_match(r"\[  FAILED  \] ([\w/.]+)", output) or output[-200:].strip()
        fault = first_match(r"(race|never written|outside|barrier|mask|lane)[^\n]*", output)
        if fault:
            detail += f" ({fault})"
    command = [binaries / "batchwise", "verify", "--device", "emulated", "--json", "--progress",
               "none", "--shapes", "2"]
    for operation in mutation.operations:
        command += ["--op", operation]
    status, output = run(command, stdin=subprocess.DEVNULL)
    if status != 0:
        caught_by += (", " if caught_by else "") + "verify"
    return caught_by, detail


def try_mutation(folder, mutation):
    start = time.monotonic()
    path = folder / mutation.file
    original = path.read_text()
    text = mutated(original, mutation)
    if text is None:
        return Outcome(mutation, "", "NOT APPLIED: its place is not there exactly once", 0.0)
    try:
        path.write_text(text)
        status, output = build(folder)
        if status != 0:
            errors = [line for line in output.splitlines() if "error" in line]
            return Outcome(mutation, "", "DOES NOT COMPILE: " + "; ".join(errors[:1]), 0.0)
        caught_by, detail = judge(folder, mutation)
        return Outcome(mutation, caught_by, detail, time.monotonic() - start)
    finally:
        path.write_text(original)


def markdown(outcomes):
    lines = ["| fault | kernel file | noticed by | first notice |", "| --- | --- | --- | --- |"]
    for outcome in outcomes:
        lines.append(f"| {outcome.mutation.what} | `{outcome.mutation.file}` | "
                     f"{outcome.caught_by or '**nothing**'} | {outcome.detail.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build" / "mutation")
    parser.add_argument("--only", default="", help="faults whose file or description holds this text")
    parser.add_argument("--part", default="1/1", help="2/3: the second of three, to share the work")
    parser.add_argument("--markdown", type=pathlib.Path, help="writes the table there")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if options.only in m.file or options.only in m.what]
    if not chosen:
        sys.exit(f"no fault holds the text {options.only!r}")
    part, parts = (int(number) for number in options.part.split("/"))
    chosen = chosen[part - 1::parts]

    folder = options.build.resolve()
    prepare(folder)
    unchanged = judge(folder, Mutation("", "", "", "", [], "*"))
    if unchanged[0]:
        sys.exit(f"the unchanged kernels are not clean: {unchanged[0]}: {unchanged[1]}")
    outcomes = []
    for number, mutation in enumerate(chosen, 1):
        outcome = try_mutation(folder, mutation)
        outcomes.append(outcome)
        print(f"[{number}/{len(chosen)}] {mutation.file}: {mutation.what}: "
              f"{outcome.caught_by or 'NOT NOTICED'} {outcome.detail} ({outcome.seconds:.0f} s)",
              flush=True)
    caught = sum(1 for outcome in outcomes if outcome.caught_by)
    print(f"{caught} of {len(outcomes)} faults were noticed")
    if options.markdown:
        options.markdown.write_text(markdown(outcomes))
    return 0 if caught == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
