#include "compiler/Export/ConfigText.h"

#include <gtest/gtest.h>

namespace gcompile {
namespace {

constexpr llvm::StringRef dropped[] = {"quantization", "old"};

TEST(ConfigText, WhatIsThereStaysAsItIsWritten) {
  EXPECT_EQ(withMember(R"( {"a": 30.0, "b":1e-06,
  "c": {"x": [1, {"y": "}]\","}], "z": -0.0},"d":null} )",
                       dropped, "q", llvm::json::Object{{"bits", 4}}),
            "{\n  \"a\": 30.0,\n  \"b\": 1e-06,\n  \"c\": {\"x\": [1, {\"y\": \"}]\\\",\"}], "
            "\"z\": -0.0},\n  \"d\": null,\n  \"q\": {\n    \"bits\": 4\n  }\n}\n");
}

TEST(ConfigText, NamedMembersGoHoweverTheyAreWritten) {
  EXPECT_EQ(withMember(R"({"old": {"old": 1}, "a": {"old": 2}, "\u0071uantization": [3]})", dropped,
                       "q", 1),
            "{\n  \"a\": {\"old\": 2},\n  \"q\": 1\n}\n");
  EXPECT_EQ(withMember("{}", dropped, "q", nullptr), "{\n  \"q\": null\n}\n");
}

} // namespace
} // namespace gcompile
