// kernel-plan-memory: constant offsets for everything a program touches. Temporaries share one
// arena by lifetime: larger ones are placed first, each at the lowest offset that is free while it
// lives.
#include "ir/Format/CacheLayout.h"
#include "passes/Passes.h"

#include <map>

using namespace mlir;

namespace gcompile {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"

namespace {

constexpr int64_t alignment = 128; // GC_TENSOR_ALIGNMENT
int64_t align(int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

int64_t bytesOf(MemRefType type) {
  return type.getNumElements() * type.getElementType().getIntOrFloatBitWidth() / 8;
}

// A temporary lives from its first to its last use, both included.
struct Temporary {
  memref::AllocOp alloc;
  int64_t first, last, bytes, offset;
};

void replaceByView(Operation *op, kernel::Space space, int64_t offset) {
  OpBuilder builder(op);
  auto view =
      kernel::ViewOp::create(builder, op->getLoc(), op->getResult(0).getType(), space, offset);
  op->getResult(0).replaceAllUsesWith(view);
  op->erase();
}

FailureOr<SmallVector<Temporary>> collect(func::FuncOp program) {
  if (!llvm::hasSingleElement(program.getBody()))
    return program.emitError("is no straight-line program");
  DenseMap<Operation *, int64_t> order;
  for (auto [index, op] : llvm::enumerate(program.front()))
    order[&op] = index;
  SmallVector<Temporary> temporaries;
  for (auto alloc : program.getOps<memref::AllocOp>()) {
    auto type = alloc.getType();
    if (!type.hasStaticShape() || !type.getLayout().isIdentity())
      return alloc.emitOpError("is no static buffer");
    Temporary temporary{alloc, INT64_MAX, -1, align(bytesOf(type)), 0};
    for (Operation *user : alloc->getUsers()) {
      temporary.first = std::min(temporary.first, order.lookup(user));
      temporary.last = std::max(temporary.last, order.lookup(user));
    }
    temporaries.push_back(temporary);
  }
  return temporaries;
}

// Bytes alive at each moment at which a temporary is born or dies, in program order: what reports
// draw. Read here, because later passes merge buffers that share a place.
SmallVector<int64_t> liveBytes(ArrayRef<Temporary> temporaries) {
  std::map<int64_t, int64_t> change; // by operation
  for (const Temporary &temporary : temporaries) {
    if (temporary.last < 0)
      continue;
    change[temporary.first] += temporary.bytes;
    change[temporary.last + 1] -= temporary.bytes;
  }
  SmallVector<int64_t> live;
  int64_t now = 0;
  for (auto [operation, bytes] : change)
    live.push_back(now += bytes);
  return live;
}

int64_t placeTemporaries(MutableArrayRef<Temporary> temporaries) {
  SmallVector<Temporary *> bySize;
  for (Temporary &temporary : temporaries)
    bySize.push_back(&temporary);
  llvm::stable_sort(bySize, [](auto *a, auto *b) { return a->bytes > b->bytes; });
  SmallVector<Temporary *> placed; // by offset
  int64_t arena = 0;
  for (Temporary *temporary : bySize) {
    int64_t offset = 0;
    for (Temporary *other : placed)
      if (other->first <= temporary->last && temporary->first <= other->last &&
          other->offset < offset + temporary->bytes)
        offset = std::max(offset, other->offset + other->bytes);
    temporary->offset = offset;
    placed.insert(llvm::upper_bound(placed, temporary,
                                    [](auto *a, auto *b) { return a->offset < b->offset; }),
                  temporary);
    arena = std::max(arena, offset + temporary->bytes);
  }
  return arena;
}

struct PlanMemory : impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    Builder builder(&getContext());
    SmallVector<func::FuncOp> programs;
    for (auto function : module.getOps<func::FuncOp>())
      if (function->hasAttr(gemma::programAttrName))
        programs.push_back(function);
    // Weights are laid out in the order in which decode uses them: that is how they are read for
    // every token.
    llvm::stable_sort(programs, [](func::FuncOp a, func::FuncOp b) {
      return (a.getName() == "decode") > (b.getName() == "decode");
    });

    DenseMap<StringAttr, int64_t> weightOffsets, cacheOffsets;
    int64_t weightsBytes = 0, cacheBytes = 0;
    SymbolTable symbols(module);
    for (auto cache : module.getOps<gemma::KvCacheOp>()) {
      if (!cache.getCapacity())
        continue;
      cacheOffsets[cache.getSymNameAttr()] = cacheBytes;
      cacheBytes += align(cacheLayout(*cache.getKFormat(), *cache.getVFormat(), cache.getHeads(),
                                      cache.getHeadDim(), *cache.getCapacity())
                              ->bytes);
    }
    for (func::FuncOp program : programs) {
      for (Operation &op : llvm::make_early_inc_range(program.front())) {
        if (auto weight = dyn_cast<kernel::WeightOp>(op)) {
          StringAttr name = weight.getSymbolAttr().getAttr();
          if (auto expert = symbols.lookup<gemma::WeightOp>(name);
              gemma::isExpertOnStorage(expert)) {
            // In memory all layers use the same slots; `kernel.offset` is where its first block
            // lies in the section of experts.
            int64_t layerBytes = expert.getMatrices() * *expert.getBlockBytes();
            int64_t offset = *expert.getBlockOffset();
            expert->setAttr("kernel.offset",
                            builder.getI64IntegerAttr(expert.getLayer() * layerBytes + offset));
            replaceByView(&op, kernel::Space::Experts, offset);
            continue;
          }
          auto [entry, inserted] = weightOffsets.try_emplace(name, weightsBytes);
          if (inserted) {
            weightsBytes += align(bytesOf(cast<MemRefType>(weight.getType())));
            symbols.lookup(name)->setAttr("kernel.offset",
                                          builder.getI64IntegerAttr(entry->second));
          }
          replaceByView(&op, kernel::Space::Weights, entry->second);
        } else if (auto cache = dyn_cast<kernel::CacheOp>(op)) {
          replaceByView(&op, kernel::Space::Cache,
                        cacheOffsets.lookup(cache.getSymbolAttr().getAttr()));
        } else if (isa<memref::CopyOp, memref::DeallocOp>(op)) {
          op.emitOpError("is left after bufferization: a kernel's destination is read elsewhere");
          return signalPassFailure();
        }
      }
      FailureOr<SmallVector<Temporary>> temporaries = collect(program);
      if (failed(temporaries))
        return signalPassFailure();
      int64_t arena = placeTemporaries(*temporaries);
      program->setAttr("kernel.arena_live", builder.getDenseI64ArrayAttr(liveBytes(*temporaries)));
      for (Temporary &temporary : *temporaries) {
        if (temporary.last < 0)
          temporary.alloc.erase();
        else
          replaceByView(temporary.alloc, kernel::Space::Arena, temporary.offset);
      }
      program->setAttr("kernel.arena_bytes", builder.getI64IntegerAttr(arena));
    }
    module->setAttr("kernel.weights_bytes", builder.getI64IntegerAttr(weightsBytes));
    module->setAttr("kernel.cache_bytes", builder.getI64IntegerAttr(cacheBytes));
  }
};
} // namespace
} // namespace gcompile
