# The lit suite: MLIR files under tests/ir, tests/passes and tests/targets. Run through ctest (test "lit"), or by hand:
#   lit -sv build/release/tests --filter=NAME
# A test writes `RUN: %gcompile-opt %s … | FileCheck %s`. FileCheck and not are on no PATH of Debian's, so LLVM's folder is put in front.
import os

import lit.formats

config.name = "gcompile"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["unit", "e2e", "data", "layers", "fuzz", "Inputs"]
config.test_source_root = os.path.join(config.gc_source_dir, "tests")
config.test_exec_root = os.path.join(config.gc_binary_dir, "tests", "lit")
config.environment["PATH"] = os.pathsep.join(
    [config.gc_programs_dir, config.llvm_tools_dir, os.environ.get("PATH", "")]
)
for program in ("gcompile-opt", "gcompile"):
    config.substitutions.append(("%" + program + r"\b", os.path.join(config.gc_programs_dir, program)))
config.substitutions.append(("%data", os.path.join(config.test_source_root, "data")))
