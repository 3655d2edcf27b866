#!/usr/bin/env python3
"""What ./dev check reads from PTX and from ptxas's account, and the occupancy it derives."""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))
import kernel_resources as resources

PTX = """
.visible .entry _Z4fastv()
.maxntid 64, 2, 1
{
\tret;
}
.entry _Z5spillPf(
\t.param .u64 _Z5spillPf_param_0
)
{
\tmov.u32 %r1, dynamic_shared_bytes;
}
"""

ACCOUNT = """
ptxas info    : Compiling entry function '_Z4fastv' for 'sm_90'
ptxas info    : Function properties for _Z4fastv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem
ptxas info    : Compiling entry function '_Z5spillPf' for 'sm_90'
ptxas info    : Function properties for _Z5spillPf
    32 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 32 bytes cumulative stack size
"""


class KernelResources(unittest.TestCase):
    def setUp(self):
        self.fast, self.spilling = resources.kernels_of("a.cu", PTX, ACCOUNT)

    def test_reads_registers_shared_memory_and_threads(self):
        self.assertEqual((self.fast.threads, self.fast.registers, self.fast.shared_bytes), (128, 40, 1024))
        self.assertFalse(self.fast.dynamic)
        self.assertEqual(list(resources.faults(self.fast)), [])

    def test_finds_spills_and_missing_launch_bounds(self):
        self.assertEqual((self.spilling.stack_bytes, self.spilling.spill_bytes), (32, 20))
        self.assertTrue(self.spilling.dynamic)
        self.assertEqual(len(list(resources.faults(self.spilling))), 2)

    def test_refuses_an_account_that_leaves_a_kernel_out(self):
        with self.assertRaises(SystemExit):
            resources.kernels_of("a.cu", PTX, ACCOUNT.split("ptxas info    : Compiling entry function '_Z5")[0])

    def test_occupancy_is_that_of_the_cuda_occupancy_calculator(self):
        for threads, registers, shared_bytes, blocks in (
                (256, 32, 0, 8),  # threads
                (256, 40, 0, 6), (256, 64, 0, 4), (256, 255, 0, 1), (1024, 64, 0, 1),  # registers
                (1024, 65, 0, 0),  # more than there are
                (32, 16, 0, 32),  # blocks
                (128, 16, 48 * 1024, 4), (256, 32, 100 * 1024, 2)):  # shared memory
            self.assertEqual(resources.resident_blocks(threads, registers, shared_bytes), blocks,
                             (threads, registers, shared_bytes))

    def test_shortens_names(self):
        signature = ("void batchwise::cuda::(anonymous namespace)::kernel<batchwise::cuda::(anonymous "
                     "namespace)::Sgd<(batchwise::cuda::(anonymous namespace)::Momentum)2> >(int, float*)")
        self.assertEqual(resources.short_name(signature), "kernel<Sgd<(Momentum)2> >")
        self.assertEqual(resources.short_name("batchwise::cuda::(anonymous namespace)::norm(double)"), "norm")


if __name__ == "__main__":
    unittest.main()
