// RUN: gcompile-opt %s --gemma-select-modalities="keep=text" | FileCheck %s --check-prefix=TEXT
// RUN: gcompile-opt %s --gemma-select-modalities="keep=text,vision" | FileCheck %s --check-prefix=VISION

// TEXT: gemma.weight @norm
// TEXT-NOT: gemma.weight @tower
// VISION: gemma.weight @norm
// VISION: gemma.weight @tower
gemma.weight @norm from "norm.weight" rows 0 : tensor<64xf32> {role = "final_norm", layer = -1, modality = "text"}
gemma.weight @tower from "tower.weight" rows 0 : tensor<64xf32> {role = "tower", layer = 0, modality = "vision"}
