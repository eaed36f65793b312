#include "passes/Planning/OptionTable.h"

namespace gcompile {

std::string tableOptionName(const TableOption &option) {
  return option.placement + ":" + option.format;
}

TableOption parseTableOptionName(const std::string &name) {
  size_t colon = name.find(':');
  if (colon == std::string::npos)
    return {};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

} // namespace gcompile
