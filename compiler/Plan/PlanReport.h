// A plan for people (a table) and for programs (JSON with the keys of docs/plan.schema.json).
#pragma once

#include "compiler/Plan/Plan.h"

#include "llvm/Support/JSON.h"

#include <string>

namespace gcompile {

llvm::json::Object planJson(const Plan &plan);

// Decimal: "1.23 GB", "712.4 MB", "5.1 KB", "12 B".
std::string humanBytes(int64_t bytes);

std::string planReport(const Plan &plan);

} // namespace gcompile
