// The bandwidth that is kept: used while it is whole, of this machine and of the last hour.
#include "compiler/Profile/HostRead.h"
#include "compiler/Support/KeptFile.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace gcompile;

namespace {

constexpr int64_t noon = 1795262400; // 2026-11-21 12:00 UTC

TEST(HostRead, ComesBackUntilItIsAnHourOld) {
  std::string text = hostReadText({2.5e10, noon});
  std::optional<HostRead> read = parseHostRead(text, noon + 3600);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->bytesPerSecond, 2.5e10);
  EXPECT_EQ(read->measuredAt, noon);
  EXPECT_FALSE(parseHostRead(text, noon + 3601));
  EXPECT_FALSE(parseHostRead(text, noon - 1)) << "measured in the future";
  EXPECT_EQ(dateAndTime(noon), "2026-11-21 12:00 UTC");
}

TEST(HostRead, RefusesWhatMakesNoSense) {
  for (const char *content :
       {"", "bytes_per_second 2.5e10", "bytes_per_second 2.5e10\nmeasured_at yesterday\n",
        "bytes_per_second nan\nmeasured_at 1795262400\n",
        "bytes_per_second -1e10\nmeasured_at 1795262400\n",
        "bytes_per_second 1e300\nmeasured_at 1795262400\n"})
    EXPECT_FALSE(parseHostRead(sealed(content), noon)) << content;
  EXPECT_TRUE(parseHostRead(sealed("bytes_per_second 2.5e10\nmeasured_at 1795262400\n"), noon));
  EXPECT_FALSE(parseHostRead("bytes_per_second 2.5e10\nmeasured_at 1795262400\n", noon));
}

TEST(HostRead, IsKeptForEachMachine) {
  std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("gc-read-" + std::to_string(getpid()));
  setenv("GCOMPILE_CACHE", folder.c_str(), 1);
  ReadIdentity machine{"a processor", int64_t(8) << 30, 1, 1 << 20};
  HostRead first = hostRead(machine, noon, false);
  EXPECT_GT(first.bytesPerSecond, 1e7);
  ASSERT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::string path = std::filesystem::directory_iterator(folder)->path().string();
  // An absurd figure in its place shows what is used.
  ASSERT_FALSE(bool(writeKeptFile(path, hostReadText({1e14, noon}))));
  EXPECT_EQ(hostRead(machine, noon + 60, false).bytesPerSecond, 1e14);
  ReadIdentity other = machine;
  other.processor = "another";
  EXPECT_LT(hostRead(other, noon + 60, false).bytesPerSecond, 1e13);
  EXPECT_LT(hostRead(machine, noon + 7200, false).bytesPerSecond, 1e13) << "too old";
  ASSERT_FALSE(bool(writeKeptFile(path, hostReadText({1e14, noon}))));
  HostRead again = hostRead(machine, noon + 120, true);
  EXPECT_LT(again.bytesPerSecond, 1e13) << "asked for";
  EXPECT_EQ(hostRead(machine, noon + 121, false).measuredAt, noon + 120);
  ASSERT_FALSE(bool(writeKeptFile(path, "damaged")));
  EXPECT_EQ(hostRead(machine, noon + 130, false).measuredAt, noon + 130);
  // Where nothing can be kept, it is measured each time.
  std::filesystem::remove_all(folder);
  setenv("GCOMPILE_CACHE", "/proc/no-such-folder", 1);
  EXPECT_EQ(hostRead(machine, noon + 140, false).measuredAt, noon + 140);
  unsetenv("GCOMPILE_CACHE");
}

} // namespace
