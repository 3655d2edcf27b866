#!/usr/bin/env python3
"""What every CUDA kernel takes of a Hopper multiprocessor, and whether all of it is registers and
shared memory; ./dev check runs it. FOLDER holds, for each .cu file, its PTX and what ptxas -v said of
it (the target batchwise_kernel_resources). Prints a table; the exit status is 1 where a kernel has no
launch bounds, spills, or keeps anything else in local memory.

    cmake/kernel_resources.py build/kernels/cuda/resources
"""
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Kernels that may keep something on the stack, by their name in the table, each with its reason.
ALLOWED_STACK = {}

# Compute capability 9.0 (CUDA C++ Programming Guide, "Compute Capabilities").
REGISTERS = 65536
REGISTER_UNIT = 256  # registers are given to a warp in units of so many
WARPS = 64
WARP_UNIT = 4  # and to warps of the four schedulers alike
BLOCKS = 32
SHARED_BYTES = 228 * 1024
SHARED_BYTES_OF_BLOCK = 1024  # that the system takes of each block
SHARED_UNIT = 128


@dataclass
class Kernel:
    source: str
    name: str
    threads: int = 0  # 0: no launch bounds
    registers: int = 0
    shared_bytes: int = 0
    dynamic: bool = False  # and shared memory that the launch asks for
    stack_bytes: int = 0
    spill_bytes: int = 0


def round_up(value, unit):
    return -(-value // unit) * unit


def resident_blocks(threads, registers, shared_bytes):
    """Blocks that a multiprocessor holds at once."""
    warps = -(-threads // 32)
    registers_of_warp = round_up(max(registers, 1) * 32, REGISTER_UNIT)
    warps_by_registers = REGISTERS // registers_of_warp // WARP_UNIT * WARP_UNIT
    shared_of_block = round_up(shared_bytes + SHARED_BYTES_OF_BLOCK, SHARED_UNIT)
    return min(BLOCKS, WARPS // warps, warps_by_registers // warps, SHARED_BYTES // shared_of_block)


def occupancy(kernel):
    """Share of the warps that a multiprocessor can hold."""
    blocks = resident_blocks(kernel.threads, kernel.registers, kernel.shared_bytes)
    return blocks * -(-kernel.threads // 32) / WARPS


def demangled(names):
    result = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                            check=True)
    return dict(zip(names, result.stdout.splitlines()))


def short_name(signature):
    """A demangled signature without its return type, namespaces and parameters."""
    name = signature.replace("(anonymous namespace)::", "").removeprefix("void ")
    name = re.sub(r"\b(batchwise|cuda)::", "", name)
    depth = 0
    for position, character in enumerate(name):
        depth += (character == "<") - (character == ">")
        if character == "(" and depth == 0:
            return name[:position]
    return name


def kernels_of(source, ptx, account):
    """The kernels of one file by mangled name, from its PTX and from what ptxas said."""
    kernels = {}
    for entry in re.finditer(r"\.entry\s+([\w$]+)\s*\((.*?)\)(.*?)\{(.*?)^\}", ptx, re.S | re.M):
        name, _, directives, body = entry.groups()
        bounds = re.search(r"\.maxntid\s+([\d, ]+)", directives)
        threads = 1 if bounds else 0
        for extent in bounds[1].split(",") if bounds else []:
            threads *= int(extent)
        kernels[name] = Kernel(source, name, threads, dynamic="dynamic_shared_bytes" in body)
    current = None
    for line in account.splitlines():
        compiled = re.search(r"Compiling entry function '([\w$]+)'", line)
        stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads",
                          line)
        used = re.search(r"Used (\d+) registers", line)
        if compiled:
            current = kernels[compiled[1]]
        elif stack and current:  # of the kernel, or of a function that it calls
            current.stack_bytes += int(stack[1])
            current.spill_bytes += int(stack[2]) + int(stack[3])
        elif used and current:
            current.registers = int(used[1])
            shared = re.search(r"(\d+) bytes smem", line)
            current.shared_bytes = int(shared[1]) if shared else 0
    unseen = [name for name, kernel in kernels.items() if kernel.registers == 0]
    if unseen:
        raise SystemExit(f"kernel_resources: {source}: ptxas says nothing of {', '.join(unseen)}")
    return list(kernels.values())


def read_folder(folder):
    kernels = []
    for account in sorted(folder.glob("*.cu.txt")):
        ptx = account.with_suffix(".ptx").read_text()
        kernels += kernels_of(account.stem, ptx, account.read_text())
    names = demangled([kernel.name for kernel in kernels])
    for kernel in kernels:
        kernel.name = short_name(names[kernel.name])
    return sorted(kernels, key=lambda kernel: (kernel.source, kernel.name))


def faults(kernel):
    if kernel.threads == 0:
        yield "has no __launch_bounds__"
    if (kernel.stack_bytes or kernel.spill_bytes) and kernel.name not in ALLOWED_STACK:
        yield (f"keeps {kernel.stack_bytes} bytes a thread in local memory, "
               f"{kernel.spill_bytes} bytes of spills")


def print_table(kernels):
    width = max(len(kernel.name) for kernel in kernels)
    print(f"{'source':28}{'kernel':{width}}  threads  registers  shared bytes  stack  occupancy")
    for kernel in kernels:
        share = f"{100 * occupancy(kernel):.0f} %" if kernel.threads else "?"
        shared = f"{kernel.shared_bytes}{' + dynamic' if kernel.dynamic else ''}"
        print(f"{kernel.source:28}{kernel.name:{width}}  {kernel.threads:7}  {kernel.registers:9}  "
              f"{shared:>12}  {kernel.stack_bytes:5}  {share:>9}")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    kernels = read_folder(Path(sys.argv[1]))
    if not kernels:
        raise SystemExit(f"kernel_resources: no kernels in {sys.argv[1]}")
    print_table(kernels)
    broken = [f"{kernel.source}: {kernel.name} {fault}" for kernel in kernels for fault in faults(kernel)]
    unused = sorted(set(ALLOWED_STACK) - {kernel.name for kernel in kernels if kernel.stack_bytes})
    broken += [f"{name} is allowed a stack, but has none" for name in unused]
    print("\n".join(f"BROKEN  {line}" for line in broken) or
          f"ok      {len(kernels)} kernels with launch bounds, none with local memory")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
