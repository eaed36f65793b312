// What Hexagon's code generator calls and no library here provides: memory, integer division, and
// floating point that v67 has no instructions for. Everything is exact or correctly rounded
// (nearest, ties to even), as results must be equal on every target. Compiled with -fno-builtin,
// so that no loop turns into a call of itself. Plain C: nothing here is fast.
#include <stddef.h>
#include <stdint.h>

// --- Memory --------------------------------------------------------------------------------------

void *memcpy(void *to, const void *from, size_t bytes) {
  uint8_t *out = to;
  const uint8_t *in = from;
  for (size_t i = 0; i < bytes; ++i)
    out[i] = in[i];
  return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
  uint8_t *out = to;
  const uint8_t *in = from;
  if (out <= in)
    return memcpy(to, from, bytes);
  for (size_t i = bytes; i > 0; --i)
    out[i - 1] = in[i - 1];
  return to;
}

void *memset(void *to, int value, size_t bytes) {
  uint8_t *out = to;
  for (size_t i = 0; i < bytes; ++i)
    out[i] = (uint8_t)value;
  return to;
}

// --- Integer division ----------------------------------------------------------------------------
// By zero: all bits set, remainder the dividend; nobody may rely on it.

typedef struct {
  uint64_t quotient, remainder;
} division;

static division divide(uint64_t x, uint64_t y) {
  division result = {0, 0};
  for (int bit = 63; bit >= 0; --bit) {
    int carry = (int)(result.remainder >> 63);
    result.remainder = result.remainder << 1 | (x >> bit & 1);
    if (carry || result.remainder >= y) {
      result.remainder -= y;
      result.quotient |= (uint64_t)1 << bit;
    }
  }
  return result;
}

static uint64_t magnitude(int64_t x) { return x < 0 ? 0 - (uint64_t)x : (uint64_t)x; }
static int64_t with_sign(uint64_t x, int is_negative) { return (int64_t)(is_negative ? 0 - x : x); }

uint64_t __hexagon_udivdi3(uint64_t x, uint64_t y) { return divide(x, y).quotient; }
uint64_t __hexagon_umoddi3(uint64_t x, uint64_t y) { return divide(x, y).remainder; }
int64_t __hexagon_divdi3(int64_t x, int64_t y) {
  return with_sign(divide(magnitude(x), magnitude(y)).quotient, (x < 0) != (y < 0));
}
int64_t __hexagon_moddi3(int64_t x, int64_t y) {
  return with_sign(divide(magnitude(x), magnitude(y)).remainder, x < 0);
}
uint32_t __hexagon_udivsi3(uint32_t x, uint32_t y) { return (uint32_t)divide(x, y).quotient; }
uint32_t __hexagon_umodsi3(uint32_t x, uint32_t y) { return (uint32_t)divide(x, y).remainder; }
int32_t __hexagon_divsi3(int32_t x, int32_t y) { return (int32_t)__hexagon_divdi3(x, y); }
int32_t __hexagon_modsi3(int32_t x, int32_t y) { return (int32_t)__hexagon_moddi3(x, y); }

// --- Floating point ------------------------------------------------------------------------------

static uint32_t bits_of(float x) {
  union {
    float value;
    uint32_t bits;
  } both = {x};
  return both.bits;
}
static float float_of(uint32_t bits) {
  union {
    uint32_t bits;
    float value;
  } both = {bits};
  return both.value;
}
static uint64_t wide_bits_of(double x) {
  union {
    double value;
    uint64_t bits;
  } both = {x};
  return both.bits;
}
static double double_of(uint64_t bits) {
  union {
    uint64_t bits;
    double value;
  } both = {bits};
  return both.value;
}

// Half precision travels as its bits.
float __extendhfsf2(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
  if (rest >= 0x7c00) // infinity, not a number
    return float_of(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  // The exponent is rebased by an exact product, which also normalizes what was denormal.
  return float_of(bits_of(float_of(rest << 13) * 0x1p112f) | sign);
}

uint16_t __truncsfhf2(float x) {
  uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000)
    return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
  if (rest >= 0x47800000) // 2¹⁶ and more
    return (uint16_t)(sign | 0x7c00);
  uint32_t exponent = rest >> 23, significand = (rest & 0x7fffff) | 0x800000, drop = 13;
  if (exponent <= 112) {
    drop = 126 - exponent; // denormal: in units of 2⁻²⁴
    if (drop > 25)
      return (uint16_t)sign;
  }
  uint32_t kept = significand >> drop, lost = significand & ((1u << drop) - 1);
  uint32_t tie = 1u << (drop - 1);
  kept += lost > tie || (lost == tie && (kept & 1));
  // A carry out of the significand is a carry into the exponent, up to infinity.
  uint32_t result = exponent <= 112 ? kept : ((exponent - 113) << 10) + kept;
  return (uint16_t)(sign | result);
}

float __gnu_h2f_ieee(uint16_t half) { return __extendhfsf2(half); }
uint16_t __gnu_f2h_ieee(float x) { return __truncsfhf2(x); }

float __hexagon_sqrtf(float x) {
  uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffff) == 0 || bits == 0x7f800000)
    return x;
  if (bits >= 0x7f800000) // negative, not a number
    return float_of(0x7fc00000);
  int32_t exponent = (int32_t)(bits >> 23);
  uint64_t significand = bits & 0x7fffff;
  if (exponent)
    significand |= 0x800000;
  else
    exponent = 1;
  while (significand < 0x800000) {
    significand <<= 1;
    --exponent;
  }
  exponent -= 150; // x = significand · 2^exponent
  if (exponent & 1) {
    significand <<= 1;
    --exponent;
  }
  // 26 bits of √(significand · 2²⁸): more than the result's 24, so what is left only breaks ties.
  significand <<= 28;
  uint64_t root = 0;
  for (uint64_t bit = (uint64_t)1 << 26; bit; bit >>= 1)
    if ((root + bit) * (root + bit) <= significand)
      root += bit;
  int32_t sticky = root * root != significand;
  exponent = exponent / 2 - 14;
  int32_t drop = root >> 25 ? 2 : 1;
  if (root >> 26)
    drop = 3;
  uint64_t kept = root >> drop, lost = root & ((1u << drop) - 1), tie = 1u << (drop - 1);
  kept += lost > tie || (lost == tie && (sticky || (kept & 1)));
  // kept · 2^(exponent + drop) with 24 bits; a root is never denormal.
  return float_of(((uint32_t)(exponent + drop + 149) << 23) + (uint32_t)kept);
}
float sqrtf(float x) { return __hexagon_sqrtf(x); }

// Rounds to a whole number: `up` says whether the fraction (as 0: zero, 1: below a half, 2: a half,
// 3: above) raises the magnitude.
typedef int (*raises)(int fraction, int is_odd, int is_negative);
static float round_by(float x, raises up) {
  uint32_t bits = bits_of(x), sign = bits & 0x80000000, rest = bits & 0x7fffffff;
  if (rest >= 0x4b000000) // 2²³ and more, infinities: whole already
    return x;
  uint32_t whole = 0;
  int fraction = rest != 0;
  if (rest >= 0x3f000000) { // a half and more
    uint32_t drop = 150 - (rest >> 23), significand = (rest & 0x7fffff) | 0x800000;
    uint32_t lost = significand & ((1u << drop) - 1), tie = 1u << (drop - 1);
    whole = significand >> drop;
    fraction = lost == 0 ? 0 : lost < tie ? 1 : lost == tie ? 2 : 3;
  }
  whole += up(fraction, whole & 1, sign != 0);
  return float_of(bits_of((float)(int32_t)whole) | sign);
}
static int raises_floor(int fraction, int is_odd, int is_negative) {
  (void)is_odd;
  return fraction != 0 && is_negative;
}
static int raises_even(int fraction, int is_odd, int is_negative) {
  (void)is_negative;
  return fraction == 3 || (fraction == 2 && is_odd);
}
float floorf(float x) { return round_by(x, raises_floor); }
float roundevenf(float x) { return round_by(x, raises_even); }

// 128 bits.
typedef struct {
  uint64_t high, low;
} wide;

static wide shift_left(wide x, int bits) {
  if (bits == 0)
    return x;
  if (bits >= 64)
    return (wide){x.low << (bits - 64), 0};
  return (wide){x.high << bits | x.low >> (64 - bits), x.low << bits};
}
// The last bit remembers what fell off.
static wide shift_right_sticky(wide x, int bits) {
  if (bits == 0)
    return x;
  if (bits >= 128)
    return (wide){0, (x.high | x.low) != 0};
  wide back, result = bits >= 64 ? (wide){0, bits == 64 ? x.high : x.high >> (bits - 64)}
                                 : (wide){x.high >> bits, x.high << (64 - bits) | x.low >> bits};
  back = shift_left(result, bits);
  result.low |= back.high != x.high || back.low != x.low;
  return result;
}
static wide product(uint64_t x, uint64_t y) {
  uint64_t mask = 0xffffffff, x0 = x & mask, x1 = x >> 32, y0 = y & mask, y1 = y >> 32;
  uint64_t middle = x1 * y0 + (x0 * y0 >> 32), cross = x0 * y1 + (middle & mask);
  return (wide){x1 * y1 + (middle >> 32) + (cross >> 32), x * y};
}
static wide sum(wide x, wide y) {
  uint64_t low = x.low + y.low;
  return (wide){x.high + y.high + (low < x.low), low};
}
static wide difference(wide x, wide y) {
  return (wide){x.high - y.high - (x.low < y.low), x.low - y.low};
}
static int is_less(wide x, wide y) {
  return x.high < y.high || (x.high == y.high && x.low < y.low);
}

// A finite number other than zero: ± significand · 2^exponent, the significand's top bit being 52.
typedef struct {
  uint64_t significand;
  int exponent, is_negative;
} parts;

static parts parts_of(double x) {
  uint64_t bits = wide_bits_of(x);
  parts result = {bits & 0xfffffffffffff, (int)(bits >> 52 & 0x7ff), (int)(bits >> 63)};
  if (result.exponent)
    result.significand |= (uint64_t)1 << 52;
  else
    result.exponent = 1;
  while (!(result.significand >> 52)) {
    result.significand <<= 1;
    --result.exponent;
  }
  result.exponent -= 1075;
  return result;
}

static int is_ordinary(double x) {
  uint64_t rest = wide_bits_of(x) << 1;
  return rest != 0 && rest >> 53 != 0x7ff;
}

// ± (value's top bit is 126) · 2^exponent, rounded once.
static double rounded(wide value, int exponent, int is_negative) {
  uint64_t sign = (uint64_t)is_negative << 63;
  int drop = 126 - 52, biased = exponent + drop + 1075;
  if (biased < 1) { // denormal
    drop += 1 - biased;
    biased = 0;
  }
  wide kept = shift_right_sticky(value, drop - 2); // two bits more: a half, and anything below
  uint64_t low = kept.low & 3, whole = kept.low >> 2;
  whole += low == 3 || (low == 2 && (whole & 1));
  if (biased > 0)
    whole += (uint64_t)(biased - 1) << 52; // the top bit adds the last one
  if (biased >= 0x7ff || whole >> 52 >= 0x7ff)
    return double_of(sign | (uint64_t)0x7ff << 52);
  return double_of(sign | whole);
}

double fma(double x, double y, double z) {
  if (is_ordinary(x) && is_ordinary(y) && wide_bits_of(z) << 1 == (uint64_t)0x7ff << 53)
    return z; // infinite, though the product may overflow
  if (is_ordinary(x) && is_ordinary(y) && wide_bits_of(z) << 1 == 0)
    return x * y; // keeps its sign, should it vanish
  // A zero factor, or an infinite one, leaves nothing to round twice.
  if (!is_ordinary(x) || !is_ordinary(y) || !is_ordinary(z))
    return x * y + z;
  parts a = parts_of(x), b = parts_of(y), c = parts_of(z);
  wide large = shift_left(product(a.significand, b.significand), 21);
  int large_exponent = a.exponent + b.exponent - 21, large_sign = a.is_negative ^ b.is_negative;
  if (!(large.high >> 62)) { // the product had 105 bits
    large = shift_left(large, 1);
    --large_exponent;
  }
  wide small = shift_left((wide){0, c.significand}, 74);
  int small_exponent = c.exponent - 74, small_sign = c.is_negative;
  if (small_exponent > large_exponent ||
      (small_exponent == large_exponent && is_less(large, small))) {
    wide swap = large;
    int exponent = large_exponent, sign = large_sign;
    large = small, large_exponent = small_exponent, large_sign = small_sign;
    small = swap, small_exponent = exponent, small_sign = sign;
  }
  int distance = large_exponent - small_exponent;
  small = shift_right_sticky(small, distance > 128 ? 128 : distance);
  wide result = large_sign == small_sign ? sum(large, small) : difference(large, small);
  if (!(result.high | result.low))
    return 0;
  if (result.high >> 63) {
    result = shift_right_sticky(result, 1);
    ++large_exponent;
  }
  while (!(result.high >> 62)) {
    result = shift_left(result, 1);
    --large_exponent;
  }
  return rounded(result, large_exponent, large_sign);
}
