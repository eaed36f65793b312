// Index arithmetic of KV caches.
#include "passes/Conversion/KernelToLoops/KvAccess.h"

using namespace mlir;

namespace gcompile::kernel {

static int64_t roundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static int64_t elementBytes(KvFormat format) { return format == KvFormat::F16 ? 2 : 4; }

KvAccess::KvAccess(VectorMath &m, Value cache, StringRef kText, StringRef vText, int64_t heads,
                   int64_t headDim, int64_t capacity)
    : derivesKeys(isDerived(kText)), kFormat(*parseKvFormat(derivesKeys ? vText : kText)),
      vFormat(*parseKvFormat(vText)), headDim(headDim), dimsK(roundUp(headDim, 16)),
      dimsV(roundUp(headDim, vFormat == KvFormat::Kv4 ? 32 : 16)), capacity(capacity), m(m),
      layout(*cacheLayout(kText, vText, heads, headDim, capacity)) {
  byteView = cache;
  f32View = m.viewBytes(cache, m.b.getF32Type());
  f16View = m.viewBytes(cache, m.b.getF16Type());
  wordView = m.viewBytes(cache, m.b.getI32Type());
}

Value KvAccess::kView() const {
  return isQuantized(kFormat) ? wordView : kFormat == KvFormat::F16 ? f16View : f32View;
}

Value KvAccess::vView() const {
  return isQuantized(vFormat) ? wordView : vFormat == KvFormat::F16 ? f16View : f32View;
}

Value KvAccess::kBlock(Value head, Value block) {
  int64_t bytes = elementBytes(kFormat);
  // A block is 16 tokens of dimsK elements, or dimsK/4 quads of 16 words.
  int64_t blockElements = isQuantized(kFormat) ? 4 * dimsK : 16 * dimsK;
  Value index = m.muli(head, layout.headDataBytesK / bytes);
  return m.addi(m.addi(index, m.muli(block, blockElements)), layout.dataK / bytes);
}

Value KvAccess::vRow(Value head, Value slot) {
  int64_t bytes = elementBytes(vFormat);
  Value index = m.muli(head, layout.headDataBytesV / bytes);
  return m.addi(m.addi(index, m.muli(slot, dimsV)), layout.dataV / bytes);
}

Value KvAccess::vBlock(Value head, Value block) {
  int64_t blockWords = vFormat == KvFormat::Kv4 ? 8 * dimsV : 16 * dimsV;
  Value index = m.muli(head, layout.headDataBytesV / 4);
  return m.addi(m.addi(index, m.muli(block, blockWords)), layout.dataV / 4);
}

Value KvAccess::kScales(Value head) { return m.addi(m.muli(head, capacity), layout.scalesK / 4); }

Value KvAccess::vScales(Value head) { return m.addi(m.muli(head, capacity), layout.scalesV / 4); }

} // namespace gcompile::kernel
