// attend: softmax attention of query rows over a cache, streaming over blocks of 64 slots.
//
// A task is one row and a group of query heads that share a kv head: keys and values are read and
// decoded once for the group. Per block: scores of 64 tokens (tokens are lanes; a fused chain over
// dims), mask, block maximum, probabilities, then the output's running sum (dims are lanes; a fused
// chain over tokens). The order of operations of one query head depends neither on the group nor on
// the loop shapes, which follow the register count.
//
// The valid slots of a row at position p are the ring interval of positions [oldest, p]; only
// blocks that hold one are visited, so the running maximum is always a real score. Masked slots
// contribute exactly 0 and may hold anything finite. A row of an image sees to the image's end
// (docs/decisions/0016), which only moves the ends of that interval.
//
// Derived keys (docs/decisions/0007) are formed from values, whose layout has dims as lanes: a
// score is then a fused chain over chunks of 16 pairs of dims, lower then upper, and one sum of
// lanes.
#include "ir/Kernel/Tasks.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Conversion/KernelToLoops/Emitters.h"
#include "passes/Conversion/KernelToLoops/KvAccess.h"

using namespace mlir;

namespace gcompile::kernel {
namespace {

constexpr int64_t blockSlots = 64;
constexpr int64_t blockVectors = blockSlots / lanes;
constexpr double noScore = -3.0e38; // of masked slots; finite, so that differences are no NaN

using Values = SmallVector<Value>;

class AttendEmitter {
public:
  AttendEmitter(VectorMath &m, AttendOp op, const TargetInfo &target)
      : m(m), op(op), cache(m, op.getCache(), op.getKFormat(), op.getVFormat(), op.getKvHeads(),
                            op.getHeadDim(), op.getCapacity()),
        group(attendHeadsPerTask(op.getHeads(), op.getKvHeads())),
        accumulators(std::max<int64_t>(target.wideRegisters() / 2, 4)) {
    queries = allocate({group, cache.dimsK});
    probabilities = allocate({group, blockSlots});
    sums = allocate({group, cache.dimsV});
    if (cache.derivesKeys && cache.headDim / 2 % lanes)
      decoded = allocate({4, cache.dimsK});
  }

  void emit(TaskRange tasks) {
    int64_t groups = op.getHeads() / group;
    m.forEach(tasks.begin, tasks.end, 1, [&](Value task) {
      Value row = m.divi(task, groups);
      Value firstHead = m.muli(m.remi(task, groups), group);
      emitTask(row, firstHead);
    });
  }

private:
  // The slots [first, first + count) mod capacity are valid.
  struct Ring {
    Value first, count;
  };

  Value allocate(ArrayRef<int64_t> dims) {
    auto type = MemRefType::get(dims, m.b.getF32Type());
    return memref::AllocaOp::create(m.b, type, m.b.getI64IntegerAttr(64));
  }

  void emitTask(Value row, Value firstHead) {
    Value kvHead = m.divi(firstHead, op.getHeads() / op.getKvHeads());
    loadQueries(row, firstHead);

    // Positions that the cache holds and the row may see.
    Value position = m.addi(op.getPosition(), row);
    Value last = m.subi(m.addi(op.getPosition(), op.getRows()), m.index(1));
    auto atLeast = [&](Value x, Value y) -> Value { return arith::MaxSIOp::create(m.b, x, y); };
    auto atMost = [&](Value x, Value y) -> Value { return arith::MinSIOp::create(m.b, x, y); };
    Value oldest = atLeast(m.index(0), m.subi(last, m.index(cache.capacity - 1)));
    Value newest = position;
    if (op.getSpans())
      newest = atMost(atLeast(position, spanOf(row, 1)), last);
    if (int64_t window = op.getWindow(); window > 0) {
      Value first = m.subi(position, m.index(window - 1));
      oldest = atLeast(oldest, op.getWholeSpans() ? atMost(first, spanOf(row, 0)) : first);
    }
    Ring ring{m.remi(oldest, cache.capacity), m.addi(m.subi(newest, oldest), 1)};

    // Their blocks in slot order: [begin1, end1), then [begin2, blocks) when the interval wraps.
    Value lastSlot = m.remi(newest, cache.capacity);
    Value firstBlock = m.divi(ring.first, blockSlots);
    Value end1 = m.addi(m.divi(lastSlot, blockSlots), 1);
    Value wraps = m.compare(arith::CmpIPredicate::ugt, ring.first, lastSlot);
    Value begin1 = m.select(wraps, m.index(0), firstBlock);
    Value begin2 = atLeast(firstBlock, end1);
    Value count1 = m.subi(end1, begin1);
    Value count2 =
        m.select(wraps, m.subi(m.index(cache.capacity / blockSlots), begin2), m.index(0));

    Values state; // running maxima, then running sums of probabilities (16 lanes each)
    for (int64_t g = 0; g < group; ++g)
      state.push_back(m.constant(m.b.getF32Type(), noScore));
    for (int64_t g = 0; g < group; ++g)
      state.push_back(m.f(0));
    state = m.forEach(m.index(0), m.addi(count1, count2), 1, state,
                      [&](Value i, ValueRange state) -> Values {
                        Value inFirst = m.compare(arith::CmpIPredicate::ult, i, count1);
                        Value skip = m.select(inFirst, begin1, m.subi(begin2, count1));
                        return emitBlock(kvHead, m.addi(i, skip), ring, llvm::to_vector(state));
                      });
    storeOutputs(row, firstHead, ArrayRef<Value>(state).drop_front(group));
  }

  // First (0) or last (1) position of the row's image.
  Value spanOf(Value row, int64_t end) {
    Value at = m.loadScalar(op.getSpans(), {row, m.index(end)});
    return arith::IndexCastOp::create(m.b, m.b.getIndexType(), at);
  }

  void loadQueries(Value row, Value firstHead) {
    for (int64_t g = 0; g < group; ++g) {
      Value first = m.muli(m.addi(firstHead, g), cache.headDim);
      m.forEachChunk(cache.headDim, [&](Value column, int64_t count) {
        Value q = m.load(op.getQ(), {row, m.addi(first, column)}, count);
        m.store(q, queries, {m.index(g), column});
      });
      m.forEach(m.index(0), m.index(cache.dimsV), lanes,
                [&](Value column) { m.store(m.f(0), sums, {m.index(g), column}); });
    }
  }

  void storeOutputs(Value row, Value firstHead, ArrayRef<Value> totals) {
    for (int64_t g = 0; g < group; ++g) {
      Value factor = m.splat(m.div(m.constant(m.b.getF32Type(), 1), m.sumOfLanes(totals[g])));
      Value first = m.muli(m.addi(firstHead, g), cache.headDim);
      m.forEachChunk(cache.headDim, [&](Value column, int64_t count) {
        Value y = m.mul(m.load(sums, {m.index(g), column}), factor);
        m.store(y, op.getOuts(), {row, m.addi(first, column)}, count);
      });
    }
  }

  Values emitBlock(Value kvHead, Value block, const Ring &ring, Values state) {
    Value firstSlot = m.muli(block, blockSlots);
    Values scores = emitScores(kvHead, block); // [head][vector]
    if (isQuantized(cache.kFormat)) {
      // Rotation and norm weight are linear: the scale of a derived key is that of its value.
      Value scales = cache.derivesKeys ? cache.vScales(kvHead) : cache.kScales(kvHead);
      scales = m.addi(scales, firstSlot);
      for (int64_t v = 0; v < blockVectors; ++v) {
        Value scale = m.load(cache.f32View, m.addi(scales, lanes * v));
        for (int64_t g = 0; g < group; ++g)
          scores[g * blockVectors + v] = m.mul(scores[g * blockVectors + v], scale);
      }
    }
    Values isValid = validity(firstSlot, ring);
    Values valueScales;
    if (isQuantized(cache.vFormat)) {
      Value scales = m.addi(cache.vScales(kvHead), firstSlot);
      for (int64_t v = 0; v < blockVectors; ++v)
        valueScales.push_back(m.load(cache.f32View, m.addi(scales, lanes * v)));
    }
    Values rescales;
    for (int64_t g = 0; g < group; ++g) {
      MutableArrayRef<Value> s =
          MutableArrayRef<Value>(scores).slice(g * blockVectors, blockVectors);
      for (int64_t v = 0; v < blockVectors; ++v)
        s[v] = m.select(isValid[v], s[v], m.f(noScore));
      Value blockMaximum = m.maxOfLanes(m.max(m.max(s[0], s[1]), m.max(s[2], s[3])));
      Value maximum = m.max(blockMaximum, state[g]);
      Value rescale = m.exp(m.splat(m.sub(state[g], maximum)));
      for (int64_t v = 0; v < blockVectors; ++v) {
        // A masked score is far below the maximum: its exponential is 0 by itself.
        s[v] = m.exp(m.sub(s[v], m.splat(maximum)));
        Value weight = valueScales.empty() ? s[v] : m.mul(s[v], valueScales[v]);
        m.store(weight, probabilities, {m.index(g), m.index(lanes * v)});
      }
      Value total = m.add(m.add(s[0], s[1]), m.add(s[2], s[3]));
      state[group + g] = m.fma(state[group + g], rescale, total);
      state[g] = maximum;
      rescales.push_back(rescale);
    }
    emitValues(kvHead, block, rescales);
    return state;
  }

  // Which slots of the block lie in the ring interval.
  Values validity(Value firstSlot, const Ring &ring) {
    Type i32 = m.b.getI32Type();
    auto toI32 = [&](Value x) -> Value { return arith::IndexCastOp::create(m.b, i32, x); };
    Value offset = m.splat(toI32(m.subi(firstSlot, ring.first)));
    Value count = m.splat(toI32(ring.count));
    Values result;
    for (int64_t v = 0; v < blockVectors; ++v) {
      SmallVector<int32_t> lane(lanes);
      std::iota(lane.begin(), lane.end(), lanes * v);
      Value iota = arith::ConstantOp::create(m.b, DenseElementsAttr::get(m.i32s(), ArrayRef(lane)));
      Value distance = m.addi(offset, iota);
      Value wrapped = m.addi(distance, cache.capacity);
      Value isBefore = m.compare(arith::CmpIPredicate::slt, distance, m.integer(m.i32s(), 0));
      distance = m.select(isBefore, wrapped, distance);
      result.push_back(m.compare(arith::CmpIPredicate::slt, distance, count));
    }
    return result;
  }

  // The block's values in vView().
  Value valuesOf(Value kvHead, Value block) {
    return isQuantized(cache.vFormat) ? cache.vBlock(kvHead, block)
                                      : cache.vRow(kvHead, m.muli(block, blockSlots));
  }

  // Elements of `view` that the keys or values of 64 slots take.
  int64_t elementsOfBlock(Value view, KvFormat format, int64_t dims) {
    int64_t perElement = format == KvFormat::Kv8 ? 4 : format == KvFormat::Kv4 ? 8 : 1;
    return blockSlots * dims / perElement;
  }

  // Asks for the cache lines of `count` elements from `index` on.
  void prefetch(Value view, Value index, int64_t count) {
    int64_t bytes = cast<MemRefType>(view.getType()).getElementTypeBitWidth() / 8;
    for (int64_t i = 0; i < count; i += 64 / bytes)
      memref::PrefetchOp::create(m.b, view, m.addi(index, i), /*isWrite=*/false,
                                 /*localityHint=*/3, /*isDataCache=*/true);
  }

  // Byte `byte` of each word as a signed value, exact in f32.
  Value signedByte(Value words, int64_t byte) {
    Value x = m.shiftRightSigned(m.shiftLeft(words, 24 - 8 * byte), 24);
    return arith::SIToFPOp::create(m.b, m.f32s(), x);
  }

  // Nibble `nibble` of byte `byte`, less 8.
  Value nibble(Value words, int64_t byte, int64_t nibble) {
    Value x = m.bitAnd(m.shiftRight(words, 8 * byte + 4 * nibble), 15);
    return arith::SIToFPOp::create(m.b, m.f32s(), m.addi(x, -8));
  }

  // Scores of the block's 64 tokens: [head][vector], without K's scale.
  Values emitScores(Value kvHead, Value block) {
    return cache.derivesKeys ? emitDerivedScores(kvHead, block) : emitStoredScores(kvHead, block);
  }

  Values emitStoredScores(Value kvHead, Value block) {
    // Vectors of tokens computed together.
    int64_t tile = std::clamp<int64_t>(accumulators / group, 1, blockVectors);
    tile = tile == 3 ? 2 : tile;
    int64_t tokens = cache.kBlockTokens(), blocks = blockSlots / tokens;
    int64_t step = isQuantized(cache.kFormat) ? 4 : 1; // dims of one load
    Values scores(group * blockVectors);
    // Meanwhile the block's values are fetched, evenly over the dims.
    Value valueBase = valuesOf(kvHead, block);
    int64_t valuesPerDim = elementsOfBlock(cache.vView(), cache.vFormat, cache.dimsV) / cache.dimsK;
    SmallVector<Value> bases;
    for (int64_t i = 0; i < blocks; ++i)
      bases.push_back(cache.kBlock(kvHead, m.addi(m.muli(block, blocks), i)));

    for (int64_t first = 0; first < blockVectors; first += tile) {
      Values zero(group * tile, m.f(0));
      Values result = m.forEach(
          m.index(0), m.index(cache.dimsK), step, zero, [&](Value dim, ValueRange carried) {
            Values sums = llvm::to_vector(carried);
            Value offset = m.muli(dim, lanes / step);
            if (first == 0)
              prefetch(cache.vView(), m.addi(valueBase, m.muli(dim, valuesPerDim)),
                       valuesPerDim * step);
            SmallVector<Values> keys = loadKeys(bases, offset, first, tile);
            for (int64_t d = 0; d < step; ++d)
              for (int64_t g = 0; g < group; ++g) {
                Value q = m.splat(m.loadScalar(queries, {m.index(g), m.addi(dim, d)}));
                for (int64_t v = 0; v < tile; ++v)
                  sums[g * tile + v] = m.fma(q, keys[d][v], sums[g * tile + v]);
              }
            return sums;
          });
      for (int64_t g = 0; g < group; ++g)
        for (int64_t v = 0; v < tile; ++v)
          scores[g * blockVectors + first + v] = result[g * tile + v];
    }
    return scores;
  }

  // Keys are formed for all heads of the task together, a few tokens at a time; the scores pass
  // through memory to become vectors of tokens.
  Values emitDerivedScores(Value kvHead, Value block) {
    constexpr int64_t quad = 4; // tokens that share words of a quantized cache
    int64_t tile = std::clamp<int64_t>(accumulators / group, 1, quad);
    tile = tile == 3 ? 2 : tile;
    int64_t half = cache.headDim / 2;
    int64_t pairs = cast<MemRefType>(op.getKeys()[1].getType()).getDimSize(1);
    Value base = valuesOf(kvHead, block), firstSlot = m.muli(block, blockSlots);
    m.forEach(m.index(0), m.index(blockSlots), quad, [&](Value token) {
      for (int64_t first = 0; first < quad; first += tile) {
        if (decoded)
          decodeRows(base, token, first, tile);
        Values sums(group * tile, m.f(0));
        auto add = [&](Value from, Value to, bool rotates, int64_t count) {
          sums = m.forEach(from, to, lanes, sums, [&](Value column, ValueRange carried) -> Values {
            Values now = llvm::to_vector(carried);
            addPairs(now, base, m.addi(firstSlot, token), token, first, tile, column, rotates,
                     count);
            return now;
          });
        };
        // Whole chunks of rotated pairs, then of the others; the last chunk of a head may be cut.
        int64_t whole = half / lanes * lanes, rotated = std::min(pairs, whole);
        if (rotated)
          add(m.index(0), m.index(rotated), true, lanes);
        if (rotated < whole)
          add(m.index(rotated), m.index(whole), false, lanes);
        if (whole < half)
          add(m.index(whole), m.index(half), pairs > whole, half - whole);
        for (int64_t t = 0; t < tile; ++t)
          for (int64_t g = 0; g < group; ++g)
            m.storeScalar(m.sumOfLanes(sums[g * tile + t]), probabilities,
                          {m.index(g), m.addi(token, first + t)});
      }
    });
    Values scores;
    for (int64_t g = 0; g < group; ++g)
      for (int64_t v = 0; v < blockVectors; ++v)
        scores.push_back(m.load(probabilities, {m.index(g), m.index(lanes * v)}));
    return scores;
  }

  // sums += q · k over `count` pairs from `column` on, of tokens token + first + [0, tile).
  void addPairs(Values &sums, Value base, Value slot, Value token, int64_t first, int64_t tile,
                Value column, bool rotates, int64_t count) {
    Value upper = m.addi(column, cache.headDim / 2), norm = op.getKeys()[0];
    Value lowNorm = m.load(norm, column, count), highNorm = m.load(norm, upper, count);
    for (int64_t t = 0; t < tile; ++t) {
      Value low = m.mul(valuesAt(base, column, token, first, t, count), lowNorm);
      Value high = m.mul(valuesAt(base, upper, token, first, t, count), highNorm);
      if (rotates) {
        Value position = m.addi(slot, first + t);
        Value cosine = m.load(op.getKeys()[1], {position, column}, count);
        Value sine = m.load(op.getKeys()[2], {position, column}, count);
        std::tie(low, high) = m.rotate(low, high, cosine, sine);
      }
      for (int64_t g = 0; g < group; ++g) {
        Value &sum = sums[g * tile + t];
        sum = m.fma(m.load(queries, {m.index(g), column}, count), low, sum);
        sum = m.fma(m.load(queries, {m.index(g), upper}, count), high, sum);
      }
    }
  }

  // `count` values of a token from dim `column` on, as codes where the cache has codes. Lanes of
  // columns cut at half a head are taken from whole decoded rows: blocks of codes are 16 dims.
  Value valuesAt(Value base, Value column, Value token, int64_t first, int64_t t, int64_t count) {
    if (decoded)
      return m.load(decoded, {m.index(t), column}, count);
    return decodedVector(base, column, token, first + t);
  }

  void decodeRows(Value base, Value token, int64_t first, int64_t tile) {
    m.forEach(m.index(0), m.index(cache.dimsK), lanes, [&](Value column) {
      for (int64_t t = 0; t < tile; ++t)
        m.store(decodedVector(base, column, token, first + t), decoded, {m.index(t), column});
    });
  }

  // The 16 values from `column` on, a multiple of 16 in quantized formats, of the token of a quad.
  Value decodedVector(Value base, Value column, Value token, int64_t t) {
    if (!isQuantized(cache.vFormat)) {
      Value row = m.addi(base, m.muli(m.addi(token, t), cache.dimsV));
      Value values = m.load(cache.vView(), m.addi(row, column));
      return cache.vFormat == KvFormat::F16
                 ? arith::ExtFOp::create(m.b, m.f32s(), values).getResult()
                 : values;
    }
    bool isNibbles = cache.vFormat == KvFormat::Kv4;
    int64_t dims = isNibbles ? 32 : 16; // of a block of 256 words
    Value words = m.load(cache.vView(),
                         m.addi(m.addi(base, m.muli(m.divi(column, dims), 256)), m.muli(token, 4)));
    if (!isNibbles)
      return signedByte(words, t);
    // Dims d and d + 16 share bytes.
    Value shift = arith::IndexCastOp::create(m.b, m.b.getI32Type(),
                                             m.muli(m.remi(m.divi(column, lanes), 2), 4));
    return nibble(arith::ShRUIOp::create(m.b, words, m.splat(shift)), t, 0);
  }

  // Keys of `tile` vectors of tokens from vector `first` on, at `offset` elements into their
  // blocks: [dim of the load][vector].
  SmallVector<Values> loadKeys(ArrayRef<Value> bases, Value offset, int64_t first, int64_t tile) {
    SmallVector<Values> keys(isQuantized(cache.kFormat) ? 4 : 1);
    Value words;
    for (int64_t v = first; v < first + tile; ++v) {
      int64_t block = v * lanes / cache.kBlockTokens();
      Value at = m.addi(bases[block], offset);
      switch (cache.kFormat) {
      case KvFormat::F32:
        keys[0].push_back(m.load(cache.kView(), at));
        break;
      case KvFormat::F16:
        keys[0].push_back(arith::ExtFOp::create(m.b, m.f32s(), m.load(cache.kView(), at)));
        break;
      case KvFormat::Kv8:
        // Stored + 128: flipping the top bit leaves the signed code.
        words = m.bitXor(m.load(cache.kView(), at), int32_t(0x80808080));
        for (int64_t d = 0; d < 4; ++d)
          keys[d].push_back(signedByte(words, d));
        break;
      case KvFormat::Kv4:
        if (v % 2 == 0 || v == first)
          words = m.load(cache.kView(), at);
        for (int64_t d = 0; d < 4; ++d)
          keys[d].push_back(nibble(words, d, v % 2));
        break;
      }
    }
    return keys;
  }

  // sums = sums · rescale + Σ over the block's tokens of probability · value.
  void emitValues(Value kvHead, Value block, ArrayRef<Value> rescales) {
    int64_t vectors = cache.dimsV / lanes;
    int64_t pairs = cache.vFormat == KvFormat::Kv4 ? 2 : 1; // vectors of dims in one load
    int64_t tile = std::max(accumulators / group, pairs);
    while (vectors % tile || tile % pairs)
      --tile;
    int64_t step = isQuantized(cache.vFormat) ? 4 : 1; // tokens of one load
    Value base = valuesOf(kvHead, block);
    // Meanwhile the next block's keys, or the values that they are derived from, are fetched,
    // evenly over the steps.
    Value next =
        arith::MinUIOp::create(m.b, m.addi(block, 1), m.index(cache.capacity / blockSlots - 1));
    Value keyView = cache.derivesKeys ? cache.vView() : cache.kView();
    Value keyBase = cache.derivesKeys
                        ? valuesOf(kvHead, next)
                        : cache.kBlock(kvHead, m.muli(next, blockSlots / cache.kBlockTokens()));
    int64_t keysPerColumns = elementsOfBlock(keyView, cache.kFormat, cache.dimsK) * tile / vectors;
    int64_t keysPerToken = keysPerColumns / blockSlots;

    m.forEach(m.index(0), m.index(cache.dimsV), tile * lanes, [&](Value column) {
      Values initial;
      for (int64_t g = 0; g < group; ++g)
        for (int64_t v = 0; v < tile; ++v)
          initial.push_back(
              m.mul(m.load(sums, {m.index(g), m.addi(column, lanes * v)}), rescales[g]));
      Values result = m.forEach(
          m.index(0), m.index(blockSlots), step, initial, [&](Value token, ValueRange carried) {
            Values sums = llvm::to_vector(carried);
            Value ahead = m.muli(m.divi(column, tile * lanes), keysPerColumns);
            ahead = m.addi(m.addi(keyBase, ahead), m.muli(token, keysPerToken));
            prefetch(keyView, ahead, keysPerToken * step);
            SmallVector<Values> values = loadValues(base, column, token, tile);
            for (int64_t t = 0; t < step; ++t)
              for (int64_t g = 0; g < group; ++g) {
                Value p = m.splat(m.loadScalar(probabilities, {m.index(g), m.addi(token, t)}));
                for (int64_t v = 0; v < tile; ++v)
                  sums[g * tile + v] = m.fma(p, values[t][v], sums[g * tile + v]);
              }
            return sums;
          });
      for (int64_t g = 0; g < group; ++g)
        for (int64_t v = 0; v < tile; ++v)
          m.store(result[g * tile + v], sums, {m.index(g), m.addi(column, lanes * v)});
    });
  }

  // Values of `tile` vectors of dims from `column` on: [token of the load][vector].
  SmallVector<Values> loadValues(Value base, Value column, Value token, int64_t tile) {
    SmallVector<Values> values(isQuantized(cache.vFormat) ? 4 : 1);
    if (!isQuantized(cache.vFormat)) {
      Value first = m.addi(m.addi(base, m.muli(token, cache.dimsV)), column);
      for (int64_t v = 0; v < tile; ++v) {
        Value loaded = m.load(cache.vView(), m.addi(first, lanes * v));
        if (cache.vFormat == KvFormat::F16)
          loaded = arith::ExtFOp::create(m.b, m.f32s(), loaded);
        values[0].push_back(loaded);
      }
      return values;
    }
    int64_t pairs = cache.vFormat == KvFormat::Kv4 ? 2 : 1;
    // 16 · pairs dims are 256 words apart; a quad of tokens is 16 words.
    Value first = m.addi(m.addi(base, m.muli(column, 16 / pairs)), m.muli(token, 4));
    for (int64_t v = 0; v < tile; v += pairs) {
      Value words = m.load(cache.vView(), m.addi(first, 256 * (v / pairs)));
      for (int64_t t = 0; t < 4; ++t)
        for (int64_t n = 0; n < pairs; ++n)
          values[t].push_back(pairs == 2 ? nibble(words, t, n) : signedByte(words, t));
    }
    return values;
  }

  VectorMath &m;
  AttendOp op;
  KvAccess cache;
  int64_t group;                      // query heads of one task
  int64_t accumulators;               // 16-lane values that stay in registers beside the operands
  Value queries, probabilities, sums; // [group][…] on the stack
  Value decoded; // [token][dim]: rows of values, where half a head is no whole number of vectors
};

} // namespace

LogicalResult emit(OpBuilder &builder, AttendOp op, TaskRange tasks, const TargetInfo &target) {
  VectorMath m(builder, op.getLoc());
  AttendEmitter(m, op, target).emit(tasks);
  return success();
}

} // namespace gcompile::kernel
