// Names of the small enumerations of a plan.
#include "compiler/Plan/Plan.h"
#include "ir/Format/CacheLayout.h"

namespace gcompile {

std::string_view keyFormatName(const PlannedKv &kv) {
  return kv.derivedKeys ? derivedKeys : name(kv.k);
}

std::string_view name(TablePlacement placement) {
  switch (placement) {
  case TablePlacement::None:
    return "none";
  case TablePlacement::Memory:
    return "memory";
  case TablePlacement::Storage:
    return "storage";
  }
  return "none";
}

std::optional<TablePlacement> parseTablePlacement(std::string_view text) {
  for (TablePlacement value :
       {TablePlacement::None, TablePlacement::Memory, TablePlacement::Storage})
    if (name(value) == text)
      return value;
  return std::nullopt;
}

std::string_view name(Activations activations) {
  return activations == Activations::Static ? "static" : "dynamic";
}

std::optional<Activations> parseActivations(std::string_view text) {
  for (Activations value : {Activations::Dynamic, Activations::Static})
    if (name(value) == text)
      return value;
  return std::nullopt;
}

std::string_view name(Objective objective) {
  switch (objective) {
  case Objective::Quality:
    return "quality";
  case Objective::Speed:
    return "speed";
  case Objective::Balanced:
    return "balanced";
  }
  return "quality";
}

std::optional<Objective> parseObjective(std::string_view text) {
  for (Objective value : {Objective::Quality, Objective::Speed, Objective::Balanced})
    if (name(value) == text)
      return value;
  return std::nullopt;
}

} // namespace gcompile
