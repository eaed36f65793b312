// Static activations (docs/decisions/0011): values that are rounded to codes of scales that are
// fixed beforehand, value = code · scale. A scale of 0: not rounded, or as each row needs.
#pragma once

#include "ir/Format/Format.h"

namespace gcompile {

// Of one linear layer: its input and its output take the codes −128 … 127.
struct ActivationScales {
  float input = 0, output = 0;

  explicit operator bool() const { return input != 0 || output != 0; }
  bool operator==(const ActivationScales &) const = default;
};

// Of the keys and values of one layer.
struct CacheScales {
  float key = 0, value = 0;

  explicit operator bool() const { return key != 0 || value != 0; }
  bool operator==(const CacheScales &) const = default;
};

// For whichever format a cache takes: codes are −128 … 127 of kv8, −8 … 7 of kv4; others have none.
struct CacheScaleChoice {
  CacheScales kv8, kv4;

  CacheScales of(KvFormat k, KvFormat v) const { return {scales(k).key, scales(v).value}; }
  explicit operator bool() const { return bool(kv8) || bool(kv4); }
  bool operator==(const CacheScaleChoice &) const = default;

private:
  CacheScales scales(KvFormat format) const {
    return format == KvFormat::Kv8 ? kv8 : format == KvFormat::Kv4 ? kv4 : CacheScales();
  }
};

} // namespace gcompile
