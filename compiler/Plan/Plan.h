// A plan: every decision about one model on one target, as a value, with the prices that led to it.
// `compiler/Plan/PlanText.h` writes and reads it; the passes after planning apply it and decide
// nothing again. Sizes are bytes, rates are per second, losses are in the unit of the KL estimate
// (nats per token). Tensor names are those of the checkpoint without prefix
// ("layers.3.mlp.down_proj.weight").
#pragma once

#include "compiler/Plan/EngineForecast.h"
#include "ir/Format/ActivationScales.h"
#include "ir/Format/Format.h"
#include "passes/Cost/MemoryModel.h"
#include "passes/Cost/QualityModel.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gcompile {

// Where the per-layer row table (PLE), or the experts, live while the model runs.
enum class TablePlacement : uint8_t { None, Memory, Storage };
std::string_view name(TablePlacement placement);
std::optional<TablePlacement> parseTablePlacement(std::string_view name);

enum class Objective : uint8_t { Quality, Speed, Balanced };
std::string_view name(Objective objective);
std::optional<Objective> parseObjective(std::string_view name);

// How inputs and outputs of linear layers are rounded (docs/decisions/0011): as each row needs at
// run time, or to codes of scales that are fixed in the plan.
enum class Activations : uint8_t { Dynamic, Static };
std::string_view name(Activations activations);
std::optional<Activations> parseActivations(std::string_view name);

// One way to store an item, and what it costs. An item whose options are groups ("layers.*.mlp")
// prices the group.
struct PricedOption {
  std::string format;      // weight format, or "k/v" pair for KV items ("kv8/kv8")
  int64_t bytes = 0;       // of the item in this option, resident, with the page tables for it
  double loss = 0;         // expected KL of choosing it alone, nats per token
  double seconds = 0;      // expected time it adds to one decoded token
  int64_t storedBytes = 0; // in the artifact though not resident (tables on storage)
  bool allowed = true;     // false: the target, the user or the checkpoint rules it out
};

// A decided tensor. `options` holds every option that was priced, the chosen one included.
struct PlannedTensor {
  std::string name, role;
  int64_t layer = -1; // −1: belongs to no layer
  int64_t n = 0, k = 0;
  WeightFormat format = WeightFormat::F32;
  int64_t bytes = 0;                // packed
  std::string placement = "memory"; // "memory" or "storage"
  bool fixed = false;               // the user or the checkpoint left no choice
  std::vector<PricedOption> options;
};

// A decided cache of one layer type ("local", "global"), all owning layers together.
struct PlannedKv {
  std::string layerType;
  KvFormat k = KvFormat::F16, v = KvFormat::F16;
  int64_t layers = 0, heads = 0, headDim = 0, capacity = 0;
  int64_t bytes = 0; // whole, ring rows beyond the window included (these are counted as
                     // activations in the account)
  bool fixed = false;
  std::vector<PricedOption> options;
  // Only V is stored and K formed from it (docs/decisions/0007): files and JSON say k: "derived",
  // and `k` repeats `v`, the format that keys are read through.
  bool derivedKeys = false;
};
std::string_view keyFormatName(const PlannedKv &kv);

// A share of the time of one decoded token.
struct TimePart {
  std::string term; // "weights", "kv cache", "storage rows", "barriers"
  double seconds = 0;
};

// What static scales cost (docs/decisions/0011), measured on a text.
struct StaticCost {
  // KL between the model as it was made and the model with the plan's activations, nothing else
  // changed: a damage beside the losses of the options. 0 where the plan keeps what the checkpoint
  // states. (What scales of caches cost is in the losses of these.)
  double activations = 0;
  std::string scales; // hash of all scales of the plan: edited ones cost something else
};

// Estimates; each speed names what bounds it.
struct Predictions {
  double decodeTokensPerSecond = 0, prefillTokensPerSecond = 0,
         firstTokenSeconds = 0;        // 0: not predicted
  std::string decodeTerm, prefillTerm; // "memory bandwidth", "operations", "barriers"
  // Ranges that the speeds lie in with 90 % certainty; 0: no range is stated.
  double decodeLow = 0, decodeHigh = 0, prefillLow = 0, prefillHigh = 0;
  double expertMissRate = 0;         // of experts on storage, modelled
  std::vector<TimePart> decodeParts; // their sum is at most one decoded token; empty: not known
  double kl = 0, klLow = 0, klHigh = 0;
  QualityBasis klBasis = QualityBasis::Prior;
  // From the sum of the losses of what is chosen to KL; absent in files of before it was kept.
  std::optional<KlLink> klLink;
  // Counted in kl. Absent: there are no static scales, or kl counts nothing that they change.
  std::optional<StaticCost> staticCost;
  double fixedDamage() const { return staticCost ? staticCost->activations : 0; }
  // Losses and link are those of the plan file that was replayed. Never part of files.
  bool klFromFile = false;
  bool measured =
      false; // the speeds rest on a measurement of this moment: they stay out of artifacts
};

// How far the solution may be from the best one: bound ≤ best ≤ objective.
struct Optimality {
  double objective = 0, bound = 0;
  // Exchange rates of the objective: nats that a second of a token, and a byte of the artifact that
  // is not resident, are worth.
  double lossPerSecond = 0, lossPerStoredByte = 0;
  double fixedSeconds = 0; // of a token, whatever is chosen
  int64_t fixedBytes = 0;  // of the text phase, whatever is chosen; estimates of code included
  double maxSeconds = 0;   // of a token, asked for by --min-decode; 0: no limit
  double gap = 0;          // (objective − bound) / max(objective, tiny)
};

// Tensors (or "local", "global" caches) that had to take the same format.
struct PlannedCoupling {
  std::string reason;
  std::vector<std::string> items;
};

// A tower that is loaded to encode an input and dropped before text goes on.
struct PlannedEncoder {
  std::string modality;
  WeightFormat format = WeightFormat::BF16;
  int64_t bytes = 0;
  int64_t softTokens = 0; // positions that one input takes, markers apart
};

// What is needed at once in one phase of the work.
struct PlanPhase {
  std::string name; // "text", "vision", "audio"
  MemoryAccount memory;
};

struct Plan {
  std::string model, target;
  int64_t context = 4096;
  std::vector<std::string> modalities = {"text"};
  Objective objective = Objective::Quality;
  int64_t budgetBytes = 0;

  std::map<std::string, WeightFormat>
      tensorFormats;                      // every matrix and table, and "norm" tensors (always f32)
  std::optional<Activations> activations; // absent in files of before there was a choice
  // Under Activations::Static, by the name of the weight that the linear layer multiplies.
  std::map<std::string, ActivationScales> activationScales;
  // Static scales of caches, by the layer that owns one. Others have a scale a row.
  std::map<int64_t, CacheScaleChoice> cacheScales;
  KvFormat localK = KvFormat::F16, localV = KvFormat::F16, globalK = KvFormat::F16,
           globalV = KvFormat::F16;
  TablePlacement tables = TablePlacement::None;
  int64_t tableCacheRows = 0; // slots of the row cache, used under TablePlacement::Storage
  TablePlacement experts = TablePlacement::None; // None: the model has none
  int64_t expertSlots = 0; // of their cache, under TablePlacement::Storage (docs/decisions/0012)
  bool expertsOnStorage() const { return experts == TablePlacement::Storage; }
  int64_t prefillChunk = 128, scoreChunk = 16;

  MemoryAccount memory; // of the phase that needs most
  // With towers only; counted anew when a plan is replayed, so plan files do not hold them.
  std::vector<PlannedEncoder> encoders;
  std::vector<PlanPhase> phases; // the last is text
  Predictions predicted;
  Optimality optimality;
  std::string solver;
  double seconds = 0; // that solving took; never part of artifacts

  std::vector<PlannedTensor> tensors; // in order of first use
  std::vector<PlannedKv> kvCaches;
  std::vector<PlannedCoupling> couplings;

  // Where the profile knows two engines. It decides nothing.
  std::optional<EngineForecast> engines;

  // Rows of every local ring respectively global cache (docs/decisions/0001).
  int64_t localCapacity = 0, globalCapacity = 0;
};

} // namespace gcompile
