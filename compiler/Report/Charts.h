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
std::string timelineChart(const Plan &plan, const MemoryTimeline &timeline);
std::string arenaChart(const ArenaUse &use, int64_t largest);
std::string formatGrid(const FormatMap &map);
std::string frontChart(const Plan &plan, const std::vector<ReportFrontPoint> &front);
std::string timeBar(const Predictions &predicted);

} // namespace gcompile::html
