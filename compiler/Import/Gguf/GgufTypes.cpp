#include "compiler/Import/Gguf/GgufTypes.h"

#include "compiler/Import/Gguf/GgufBlocks.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"

namespace gcompile {

namespace {

using namespace gguf;

constexpr GgufType table[] = {
    {0, "F32", 1, 4, decodeF32},
    {1, "F16", 1, 2, decodeF16},
    {2, "Q4_0", 32, 18, decodeQ4_0},
    {3, "Q4_1", 32, 20, decodeQ4_1},
    {6, "Q5_0", 32, 22, decodeQ5_0},
    {7, "Q5_1", 32, 24, decodeQ5_1},
    {8, "Q8_0", 32, 34, decodeQ8_0},
    {10, "Q2_K", 256, 84, decodeQ2_K},
    {11, "Q3_K", 256, 110, decodeQ3_K},
    {12, "Q4_K", 256, 144, decodeQ4_K},
    {13, "Q5_K", 256, 176, decodeQ5_K},
    {14, "Q6_K", 256, 210, decodeQ6_K},
    {20, "IQ4_NL", 32, 18, decodeIQ4_NL},
    {23, "IQ4_XS", 256, 136, decodeIQ4_XS},
    {24, "I8", 1, 1, nullptr},
    {25, "I16", 1, 2, nullptr},
    {26, "I32", 1, 4, nullptr},
    {27, "I64", 1, 8, nullptr},
    {28, "F64", 1, 8, nullptr},
    {30, "BF16", 1, 2, decodeBF16},
    {34, "TQ1_0", 256, 54, decodeTQ1_0},
    {35, "TQ2_0", 256, 66, decodeTQ2_0},
    {39, "MXFP4", 32, 17, decodeMXFP4},
    {40, "NVFP4", 64, 36, decodeNVFP4},
    {41, "Q1_0", 128, 18, decodeQ1_0},
    {42, "Q2_0", 64, 18, decodeQ2_0},
};

struct RefusedType {
  uint32_t id;
  const char *name, *why;
};

constexpr char lattice[] = "whose codes are looked up in lattice tables that are not read; give a "
                           "file of Q2_K, IQ4_XS or a larger type";
constexpr char neverStored[] = "which is for computing and never stored in files";
constexpr char removed[] = "which llama.cpp has removed; convert the original again";

constexpr RefusedType refused[] = {
    {4, "Q4_2", removed},        {5, "Q4_3", removed},        {9, "Q8_1", neverStored},
    {15, "Q8_K", neverStored},   {16, "IQ2_XXS", lattice},    {17, "IQ2_XS", lattice},
    {18, "IQ3_XXS", lattice},    {19, "IQ1_S", lattice},      {21, "IQ3_S", lattice},
    {22, "IQ2_S", lattice},      {29, "IQ1_M", lattice},      {31, "Q4_0_4_4", removed},
    {32, "Q4_0_4_8", removed},   {33, "Q4_0_8_8", removed},   {36, "IQ4_NL_4_4", removed},
    {37, "IQ4_NL_4_8", removed}, {38, "IQ4_NL_8_8", removed},
};

constexpr uint32_t firstOfFork = 133; // ik_llama.cpp's own types

} // namespace

llvm::ArrayRef<GgufType> ggufTypes() { return table; }

const GgufType *findGgufType(uint32_t id) {
  const GgufType *found = llvm::find_if(table, [&](const GgufType &type) { return type.id == id; });
  return found == std::end(table) ? nullptr : found;
}

const GgufType *findGgufType(llvm::StringRef name) {
  const GgufType *found =
      llvm::find_if(table, [&](const GgufType &type) { return type.name == name; });
  return found == std::end(table) ? nullptr : found;
}

std::string ggufTypeFault(uint32_t id) {
  for (const RefusedType &type : refused)
    if (type.id == id)
      return (llvm::Twine(type.name) + " (" + llvm::Twine(id) + "), " + type.why).str();
  if (id >= firstOfFork && id < 1024)
    return std::to_string(id) + ", one of the fork ik_llama.cpp; give a file that llama.cpp itself "
                                "reads";
  return std::to_string(id) + ", which is not known";
}

} // namespace gcompile
