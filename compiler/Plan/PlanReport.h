// A plan for people (a table) and for programs (JSON with the keys of docs/plan.schema.json).
#pragma once

#include "compiler/Plan/Plan.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/JSON.h"

#include <string>

namespace gcompile {

llvm::json::Object planJson(const Plan &plan);

// Decimal: "1.23 GB", "712.4 MB", "5.1 KB", "12 B".
std::string humanBytes(int64_t bytes);

// The parts of the account, in the order in which they are shown.
struct MemoryCategory {
  const char *key;  // in JSON
  const char *what; // for people
  int64_t MemoryAccount::*bytes;
};
llvm::ArrayRef<MemoryCategory> memoryCategories();

// What the KL of a plan rests on, as a phrase.
const char *basisPhrase(QualityBasis basis);

// What a terminal or file can show.
struct ReportStyle {
  bool unicode = false; // UTF-8 may be written
  bool colour = false;  // ANSI sequences may be
};

// Lines are at most 100 columns wide. Control characters of names are replaced by '?'.
std::string planReport(const Plan &plan, ReportStyle style = {});

} // namespace gcompile
