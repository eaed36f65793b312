// RUN: gcompile-opt %s --gemma-verify-budget="budget=2304"
// RUN: not gcompile-opt %s --gemma-verify-budget="budget=2303" 2>&1 | FileCheck %s
// RUN: not gcompile-opt %s --gemma-verify-budget="budget=2304 other=1" 2>&1 | FileCheck %s --check-prefix=OTHER

// 64 rows of 64 codes at 4 bits, and 64 scales of 4 bytes: 2048 + 256.
// CHECK: needs 2304 bytes (weights 2304, tables 0, kv 0, scratch 0, other 0), over the budget of 2303
// OTHER: needs 2305 bytes
gemma.weight @q from "q" rows 0 : tensor<64x64xf32> {role = "query", layer = 0, modality = "text", format = "w4"}
