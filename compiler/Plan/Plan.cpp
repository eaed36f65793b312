// Names of the small enumerations of a plan.
#include "compiler/Plan/Plan.h"

namespace gcompile {

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

std::string_view name(QualityBasis basis) {
  switch (basis) {
  case QualityBasis::Prior:
    return "prior";
  case QualityBasis::Weights:
    return "weights";
  case QualityBasis::Calibration:
    return "calibration";
  case QualityBasis::Sensitivities:
    return "sensitivities";
  }
  return "prior";
}

std::optional<QualityBasis> parseQualityBasis(std::string_view text) {
  for (QualityBasis value : {QualityBasis::Prior, QualityBasis::Weights, QualityBasis::Calibration,
                             QualityBasis::Sensitivities})
    if (name(value) == text)
      return value;
  return std::nullopt;
}

} // namespace gcompile
