#include "compiler/Driver/Budget.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>

namespace gcompile {

llvm::Expected<int64_t> parseByteSize(llvm::StringRef text) {
  auto fail = [&](const llvm::Twine &why) {
    return llvm::createStringError("'" + text + "' is no size: " + why +
                                   "; write it as 800MB, 1.5GB, 2GiB or a number of bytes");
  };
  llvm::StringRef rest = text.trim();
  if (rest.starts_with("-"))
    return fail("a size is not negative");
  size_t digits = rest.find_first_not_of("0123456789.");
  llvm::StringRef number = rest.take_front(digits), unit = rest.drop_front(number.size()).trim();
  if (number.empty() || number.count('.') > 1 || number == ".")
    return fail("it has to start with a number");
  constexpr int64_t none = -1;
  int64_t factor = llvm::StringSwitch<int64_t>(unit.lower())
                       .Cases({"", "b"}, 1)
                       .Cases({"k", "kb"}, 1000)
                       .Cases({"m", "mb"}, 1000000)
                       .Cases({"g", "gb"}, 1000000000)
                       .Cases({"t", "tb"}, 1000000000000)
                       .Cases({"ki", "kib"}, int64_t(1) << 10)
                       .Cases({"mi", "mib"}, int64_t(1) << 20)
                       .Cases({"gi", "gib"}, int64_t(1) << 30)
                       .Cases({"ti", "tib"}, int64_t(1) << 40)
                       .Default(none);
  if (factor == none)
    return fail("'" + unit + "' is no unit");

  // Whole numbers exactly, fractions in double precision (a fraction of a byte is dropped).
  constexpr int64_t largest = int64_t(1) << 62;
  auto [whole, fraction] = number.split('.');
  uint64_t wholeValue = 0;
  if (!whole.empty() && whole.getAsInteger(10, wholeValue))
    return fail("it is too large");
  if (wholeValue > uint64_t(largest / factor))
    return fail("it is too large");
  double part = 0;
  if (!fraction.empty() && ("0." + fraction).str().size() < 400)
    part = std::strtod(("0." + fraction).str().c_str(), nullptr);
  return int64_t(wholeValue) * factor + int64_t(std::floor(part * double(factor) + 1e-6));
}

} // namespace gcompile
