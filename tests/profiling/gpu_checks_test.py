#!/usr/bin/env python3
"""The checks on a GPU, on a machine without one: every program they call is a fake on the path."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "profiling"))
import gpu_checks as checks

GPU = """case "$*" in *query-gpu*) echo "NVIDIA Fake 1, 580.1, 1024 MiB, 300 MHz, 900 MHz, 1 MHz, 2 MHz, 9 W" ;;
*) echo "CUDA Version: 13.0" ;; esac"""
TESTS = 'echo "[  PASSED  ] 7 tests."'
VERIFIED = {"exit_code": 0, "result": {"passed": True, "device": "cuda", "operations": [
    {"operation": "gather", "passed": True, "cases": 5, "worst_error": 0.25}], "plans": []}}
# Its own options come first; what follows them is the program it watches.
SANITIZER = """tool=$2; shift 4; "$@"
case $tool in racecheck) echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" ;;
*) echo "========= ERROR SUMMARY: 0 errors" ;; esac"""


def verify(answer, status=0):
    return f"cat <<'END'\n{json.dumps(answer)}\nEND\nexit {status}"


class GpuChecks(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.addCleanup(self.temporary.cleanup)
        for place in ("build/bin", "path"):
            (self.folder / place).mkdir(parents=True)
        self.fake("path/nvidia-smi", GPU)
        self.fake("path/compute-sanitizer", SANITIZER)
        # Python without PyTorch and NumPy, whatever this machine has.
        (self.folder / "modules").mkdir()
        for name in ("torch", "numpy"):
            (self.folder / f"modules/{name}.py").write_text("raise ImportError\n")
        for name in ("test_cuda", "test_plan", "test_kill"):
            self.fake(f"build/bin/{name}", TESTS)
        self.fake("build/bin/batchwise", verify(VERIFIED))

    def fake(self, place, script):
        path = self.folder / place
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def run_checks(self):
        """Exit status, steps by name, the Markdown, and standard error."""
        environment = dict(os.environ, PATH=f"{self.folder}/path:{os.environ['PATH']}",
                           PYTHONPATH=str(self.folder / "modules"))
        process = subprocess.run(
            [sys.executable, ROOT / "profiling/gpu_checks.py", "--build", self.folder / "build", "--out",
             self.folder / "out", "--commit", "abc123"],
            capture_output=True, text=True, env=environment)
        steps, markdown = {}, ""
        for path in (self.folder / "out").glob("gpu-nvidia-fake-1-*"):
            if path.suffix == ".json":
                self.record = json.loads(path.read_text())
                steps = {step["name"]: step for step in self.record["steps"]}
            else:
                markdown = path.read_text()
        return process.returncode, steps, markdown, process.stderr

    def failing(self):
        """The one step that fails, when exactly one does."""
        status, steps, markdown, _ = self.run_checks()
        failed = [step for step in steps.values() if step["status"] == "failed"]
        self.assertEqual((status, len(failed)), (1, 1), steps)
        self.assertEqual(self.record["failed"], 1)
        self.assertIn(f"## {failed[0]['name']} failed", markdown)
        return failed[0]

    def test_all_steps_pass_and_are_written_down(self):
        status, steps, markdown, error = self.run_checks()
        self.assertEqual(status, 0, error + str(steps))
        self.assertEqual({name: step["status"] for name, step in steps.items()},
                         {"test_cuda": "passed", "test_plan": "passed", "test_kill": "skipped",
                          "verify": "passed", "verify, fast": "passed", "memcheck": "passed",
                          "racecheck": "passed", "initcheck": "passed", "synccheck": "passed",
                          "PyTorch": "skipped", "memory": "skipped"})
        self.assertIn("7 tests", steps["memcheck"]["detail"])
        self.assertIn("largest error 0.25", steps["verify"]["detail"])
        self.assertEqual(self.record["machine"]["commit"], "abc123")
        for text in ("NVIDIA Fake 1", "Driver 580.1", "Commit abc123", "None failed", "| memcheck | passed |"):
            self.assertIn(text, markdown)

    def test_without_a_gpu_nothing_is_run_or_written(self):
        self.fake("path/nvidia-smi", "exit 9")
        status, steps, _, error = self.run_checks()
        self.assertEqual((status, steps), (2, {}))
        self.assertIn("no NVIDIA GPU", error)

    def test_a_failed_test_is_named_and_the_rest_still_runs(self):
        self.fake("build/bin/test_plan", 'echo "[  FAILED  ] Plan.Adds (3 ms)"; exit 1')
        step = self.failing()
        self.assertIn("Plan.Adds", step["detail"])
        self.assertIn("[  FAILED  ]", step["output_tail"])

    def test_an_executable_that_runs_no_test_fails(self):
        self.fake("build/bin/test_plan", "true")
        self.assertIn("no test passed", self.failing()["detail"])

    def test_nothing_built_fails(self):
        for path in (self.folder / "build/bin").iterdir():
            path.unlink()
        status, steps, _, _ = self.run_checks()
        self.assertEqual((status, steps["tests"]["status"], steps["verify"]["status"]), (1, "failed", "failed"))

    def test_a_sanitizer_that_did_not_run_fails(self):
        for script, reason in (
                ("echo fine", "no summary"),
                ('echo "[  PASSED  ] 7 tests."; echo "Error: Target application terminated before first '
                 'instrumented API call"; echo "ERROR SUMMARY: 0 errors"', "no CUDA call"),
                ('echo "ERROR SUMMARY: 0 errors"', "0 tests passed under it, and 7 without it")):
            self.fake("path/compute-sanitizer", f'if [ "$2" = initcheck ]; then {script}; exit; fi\n{SANITIZER}')
            step = self.failing()
            self.assertEqual(step["name"], "initcheck")
            self.assertIn(reason, step["detail"])

    def test_what_a_sanitizer_finds_fails(self):
        self.fake("path/compute-sanitizer", f"""if [ $2 = racecheck ]; then
          echo "[  PASSED  ] 7 tests."
          echo "RACECHECK SUMMARY: 3 hazards displayed (3 errors, 0 warnings)"; exit 9; fi\n{SANITIZER}""")
        self.assertIn("3 hazards", self.failing()["detail"])

    def test_without_a_sanitizer_the_step_is_skipped_aloud(self):
        (self.folder / "path/compute-sanitizer").unlink()
        if Path("/usr/local/cuda/bin/compute-sanitizer").exists():
            self.skipTest("this machine has one")
        status, steps, markdown, _ = self.run_checks()
        self.assertEqual((status, steps["compute-sanitizer"]["status"]), (0, "skipped"))
        self.assertIn("| compute-sanitizer | skipped |", markdown)

    def test_verify_fails_for_a_kernel_beyond_its_bound(self):
        answer = json.loads(json.dumps(VERIFIED))
        answer["result"]["passed"] = answer["result"]["operations"][0]["passed"] = False
        self.fake("build/bin/batchwise", f'case "$*" in *fast*) {verify(VERIFIED)} ;;\n*) {verify(answer, 1)} ;; esac')
        self.assertIn("failed: gather", self.failing()["detail"])

    def test_verify_fails_on_another_device_and_without_its_object(self):
        for answer in ({**VERIFIED, "result": {**VERIFIED["result"], "device": "emulated"}}, "text"):
            with self.assertRaises(checks.Failed):
                checks.judge_verify(0, json.dumps(answer) if answer != "text" else answer, "")

    def test_memory_fails_for_a_batch_that_failed_and_not_for_a_bar_that_is_missed(self):
        answer = {"pytorch": None, "rows": [{"batch": 1}, {"batch": 8}], "bar_met": False}
        self.assertIn("2 batch sizes; the bar of the planned bytes is not met",
                      checks.judge_memory(0, json.dumps(answer), "")[0])
        answer["rows"][1]["failed"] = "refused: too large"
        for status, stdout, reason in ((0, json.dumps(answer), "batch 8: refused: too large"),
                                       (0, json.dumps({**answer, "rows": []}), "no batch size"),
                                       (1, "", "exit status 1: no driver")):
            with self.assertRaisesRegex(checks.Failed, reason):
                checks.judge_memory(status, stdout, "text\nno driver\n")

    def test_memory_is_given_its_time_and_is_named_where_it_fails(self):
        (self.folder / "modules/numpy.py").write_text("")
        step = self.failing()
        self.assertEqual(step["name"], "memory")
        self.assertIn("compare_pytorch_memory.py", step["command"])
        self.assertIn(f"--seconds {checks.MEMORY_SECONDS - 40}", step["command"])

    def test_fast_that_is_not_there_is_skipped(self):
        self.fake("build/bin/batchwise",
                  f'case "$*" in *fast*) echo "numerics fast: unknown" >&2; exit 2 ;; esac\n{verify(VERIFIED)}')
        status, steps, _, _ = self.run_checks()
        self.assertEqual((status, steps["verify, fast"]["status"]), (0, "skipped"))
        self.assertIn("numerics fast: unknown", steps["verify, fast"]["detail"])

    def test_a_step_ends_at_its_limit_with_all_it_started(self):
        marker = self.folder / "late"
        self.fake("path/slow", f"echo begun; (sleep 2; touch {marker}) & wait")
        result = checks.run_step("slow", [self.folder / "path/slow"], checks.judge_test, 0.5)
        # Its child holds the pipe open: had it lived, the step would have waited for it.
        self.assertFalse(marker.exists())
        self.assertEqual(result.status, "failed")
        self.assertIn("did not end within", result.detail)
        self.assertIn("begun", result.output_tail)

    def test_finds_the_libraries_of_pythons_nvidia_packages(self):
        libraries = self.folder / "modules/nvidia/cublas/lib"
        libraries.mkdir(parents=True)
        sys.path.append(str(self.folder / "modules"))
        self.addCleanup(sys.path.pop)
        self.assertIn(str(libraries), checks.library_environment()["LD_LIBRARY_PATH"].split(":"))


if __name__ == "__main__":
    unittest.main()
