// Fetches the start of a checkpoint while nothing reads it yet (code is generated, which takes a
// processor and no disk), so that packing finds it in the page cache.
#pragma once

#include "compiler/Import/Checkpoint.h"

#include <atomic>
#include <thread>

namespace gcompile {

class ReadAhead {
public:
  // These tensors in this order, until destroyed or until they take a quarter of this machine's
  // memory. The checkpoint outlives the object.
  ReadAhead(const Checkpoint &checkpoint, std::vector<const TensorInfo *> tensors);
  ~ReadAhead();
  ReadAhead(const ReadAhead &) = delete;
  ReadAhead &operator=(const ReadAhead &) = delete;

private:
  std::atomic<bool> stop{false};
  std::thread thread;
};

} // namespace gcompile
