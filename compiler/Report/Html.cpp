#include "compiler/Report/Html.h"

#include "compiler/Plan/PlanReport.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

#include <cmath>

namespace gcompile::html {

std::string escaped(llvm::StringRef text) {
  std::string safe;
  safe.reserve(text.size());
  for (char c : text) {
    switch (c) {
    case '&':
      safe += "&amp;";
      break;
    case '<':
      safe += "&lt;";
      break;
    case '>':
      safe += "&gt;";
      break;
    case '"':
      safe += "&quot;";
      break;
    case '\'':
      safe += "&#39;";
      break;
    default:
      if ((uint8_t(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
        safe += "\uFFFD";
      else
        safe += c;
    }
  }
  return llvm::json::isUTF8(safe) ? safe : llvm::json::fixUTF8(safe);
}

const char *word(Mark mark) {
  switch (mark) {
  case Mark::Counted:
    return "counted";
  case Mark::Measured:
    return "measured";
  case Mark::Published:
    return "published";
  case Mark::Modelled:
    return "modelled";
  case Mark::Assumed:
    return "assumed";
  }
  return "assumed";
}

std::string badge(Mark mark) {
  return std::string("<span class=\"mark ") + word(mark) + "\">" + word(mark) + "</span>";
}

static std::string dataElement(llvm::StringRef key, const std::string &value,
                               llvm::StringRef shown) {
  std::string attribute = key.empty() ? "" : " data-key=\"" + escaped(key) + "\"";
  return "<data value=\"" + value + "\"" + attribute + ">" + escaped(shown) + "</data>";
}

std::string figure(llvm::StringRef key, int64_t value, llvm::StringRef shown) {
  return dataElement(key, std::to_string(value), shown);
}

std::string figure(llvm::StringRef key, double value, llvm::StringRef shown) {
  return dataElement(key, llvm::formatv("{0}", llvm::json::Value(value)).str(), shown);
}

std::string bytesFigure(llvm::StringRef key, int64_t bytes) {
  return figure(key, bytes, humanBytes(bytes));
}

std::string decimal(double value, int digits) {
  if (!std::isfinite(value))
    return "0";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  llvm::StringRef shortened(text);
  if (shortened.contains('.'))
    shortened = shortened.rtrim('0').rtrim('.');
  return shortened == "-0" || shortened.empty() ? "0" : shortened.str();
}

} // namespace gcompile::html
