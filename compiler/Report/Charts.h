// The drawings of a report, as inline SVG or HTML that needs no script: a figure that matters also
// stands in the text or a table beside it.
#pragma once

#include "compiler/Plan/FormatMap.h"
#include "compiler/Report/HtmlReport.h"
#include "compiler/Report/MemoryTimeline.h"

#include <string>

namespace gcompile::html {

// Class of a category or of a number of bits, as the style sheet names them.
std::string categoryClass(size_t index);
std::string bitsClass(double bits);

std::string budgetBar(const Plan &plan);
// `withWeights`: everything against the budget; else only what lies beside weights and code, on a
// scale of its own.
std::string timelineChart(const Plan &plan, const MemoryTimeline &timeline, bool withWeights);
std::string arenaChart(const ArenaUse &use);
std::string formatGrid(const FormatMap &map);
std::string frontChart(const Plan &plan, const std::vector<ReportFrontPoint> &front);
std::string timeBar(const Predictions &predicted);

} // namespace gcompile::html
