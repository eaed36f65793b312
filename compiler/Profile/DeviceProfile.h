// The facts of one device, read from profiles/NAME.textproto, from a file that the user names, or
// detected on this machine ("host"). Each fact keeps its unit, source, date and confidence. What is
// not known is absent. Facts that were measured while gcompile runs serve predictions only: they
// are not in `text`, which goes into artifacts, so that artifacts do not depend on the moment.
#pragma once

#include "passes/Cost/CostModel.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gcompile {

struct Fact {
  std::string name; // field of device_profile.proto
  double value = 0;
  std::string unit, source, date, confidence;
  double low = 0, high = 0; // the range that sources give; both 0: a single figure
};

struct DeviceFeature {
  std::string name, source, date, confidence;
};

// An engine of the device, and whether an outside compiler can reach it.
struct ExecutionPath {
  std::string name, title;
  std::string access; // "open", "vendor", "closed"
  std::string through, source, date, confidence;
  std::vector<Fact> facts; // of this engine alone
};

struct DeviceProfile {
  std::string name, title, architecture;
  std::string kind, operatingSystem; // empty: not stated
  std::vector<DeviceFeature> features;
  std::vector<std::string> notes;
  std::vector<ExecutionPath> paths;
  std::vector<Fact> facts; // in the order of the schema
  std::string text;        // protobuf text of the static facts
  // Profile text whose calibration holds here; not part of `text`. Empty: `text` has it, if any.
  std::string calibrationText;

  const Fact *find(llvm::StringRef fact) const;
  double value(llvm::StringRef fact, double otherwise) const;
  bool hasFeature(llvm::StringRef feature) const;
};

// Folders that are searched, in order: $GCOMPILE_PROFILES, ../share/gcompile/profiles beside the
// program, the source tree.
std::vector<std::string> profileFolders(llvm::StringRef programPath);

// Names of all profiles found, sorted, with "host" first.
std::vector<std::string> profileNames(llvm::ArrayRef<std::string> folders);

// Whether `target` means a file rather than a name: it ends in ".textproto".
bool isProfileFile(llvm::StringRef target);

// Reads one profile; "host" is this machine, "PATH.textproto" a file. Unknown names are an error
// with the nearest name.
llvm::Expected<DeviceProfile> loadProfile(llvm::StringRef name,
                                          llvm::ArrayRef<std::string> folders);

// Reads protobuf text; `origin` is for messages. Files have to state at least the memory and what
// is left to one process, and a date for every figure; what was detected states what it found.
enum class ProfileOrigin : uint8_t { File, Detected };
llvm::Expected<DeviceProfile> parseProfile(llvm::StringRef text, llvm::StringRef origin,
                                           ProfileOrigin kind = ProfileOrigin::File);

// The figures that a profile can state of the device as a whole, in the order of the schema.
std::vector<std::string> profileFigureNames();

// This machine: cores, features, caches, memory (with the limits of its control groups).
DeviceProfile detectHost();

// Adds what a calibration of this machine measured, if one was saved, else the read bandwidth: as
// it was measured within the last hour (HostRead.h), or anew (at most 0.3 s); with `remeasure` anew
// in any case. Not part of `text`.
void measureHost(DeviceProfile &host, bool remeasure = false);

// What the cost model needs; zeros where the profile says nothing.
MachineModel machineModel(const DeviceProfile &profile);

} // namespace gcompile
