// A row of two slices of 64 codes at 4 bits: 2 · 32 bytes of codes and 2 scales of 4 bytes, 72, rounded up to 80. In memory 64 rows: 5120; on storage a cache of 32 rows: 2560.
// RUN: gcompile-opt %s --gemma-apply-plan="table=w4" --gemma-verify-budget="budget=5120"
// RUN: not gcompile-opt %s --gemma-apply-plan="table=w4" --gemma-verify-budget="budget=5119" 2>&1 | FileCheck %s
// RUN: gcompile-opt %s --gemma-plan="budget=5120 cache-rows=32 options=ple=storage:w4:2560:0.1" --gemma-verify-budget="budget=2560"
// RUN: not gcompile-opt %s --gemma-plan="budget=5120 cache-rows=32 options=ple=storage:w4:2560:0.1" --gemma-verify-budget="budget=2559" 2>&1 | FileCheck %s --check-prefix=STORAGE
// CHECK: needs 5120 bytes (weights 0, tables 5120,
// STORAGE: needs 2560 bytes (weights 0, tables 2560,
gemma.weight @ple from "ple" rows 0 : tensor<64x128xf32> {role = "per_layer_table", layer = -1, modality = "text", slices = 2}
