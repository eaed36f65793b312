// Experts on storage: what is in a slot is the expert that was asked for, whatever the cache holds,
// and what cannot be read is told.
#include "runtime/host/ExpertReader.h"

#include "tests/unit/runtime/TestArtifact.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <set>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using testing::HasSubstr;

namespace gcompile::runtime {
namespace {

constexpr int32_t layerCount = test::fakeExpertLayers, expertCount = test::fakeExperts;

class ExpertReaderTest : public testing::TestWithParam<int> { // threads
protected:
  void open(uint32_t slots, int descriptor = -1) {
    bytes = test::fakeModel({.expertSlots = slots, .tokenizer = false});
    file = bytes.build();
    path = test::temporaryPath("experts.gpk");
    test::writeFile(path, file);
    Message message;
    ASSERT_EQ(readArtifact(file.data(), file.size(), Checksums::Structure, artifact, message),
              GC_OK)
        << message.c_str();
    owned = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(owned, 0);
    pool.start(GetParam());
    ASSERT_EQ(reader.open(artifact, descriptor >= 0 ? descriptor : owned, pool, message), GC_OK);
  }
  void TearDown() override {
    if (owned >= 0)
      close(owned);
  }

  // Asks for experts of a layer, with an empty group behind each, and gives the slots of the
  // others.
  std::vector<int32_t> fetch(int32_t layer, const std::vector<int32_t> &experts) {
    std::vector<int32_t> starts, chosen, slots(2 * experts.size(), -7);
    for (size_t i = 0; i < experts.size(); ++i) {
      starts.insert(starts.end(), {int32_t(i), int32_t(i + 1)});
      chosen.insert(chosen.end(), {experts[i], 0});
    }
    starts.push_back(int32_t(experts.size()));
    ExpertReader::entry(&reader, layer, int64_t(slots.size()), starts.data(), chosen.data(),
                        slots.data());
    std::vector<int32_t> used;
    for (size_t i = 0; i < slots.size(); ++i)
      if (i % 2 == 0)
        used.push_back(slots[i]);
      else
        EXPECT_EQ(slots[i], 0);
    return used;
  }

  void expectThere(int32_t layer, const std::vector<int32_t> &experts,
                   const std::vector<int32_t> &slots) {
    for (size_t i = 0; i < experts.size(); ++i) {
      const auto *block = reinterpret_cast<const int32_t *>(
          reader.base() + size_t(slots[i]) * test::fakeBlockBytes);
      int32_t wanted = layer * expertCount + experts[i];
      EXPECT_TRUE(std::all_of(block, block + test::fakeBlockBytes / 4,
                              [&](int32_t value) { return value == wanted; }))
          << "layer " << layer << " expert " << experts[i];
    }
  }

  test::TestArtifact bytes;
  std::vector<uint8_t> file;
  std::string path;
  Artifact artifact;
  ThreadPool pool;
  ExpertReader reader;
  int owned = -1;
};

TEST_P(ExpertReaderTest, BringsWhatIsAskedFor) {
  open(5);
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    int32_t layer = int32_t(random() % layerCount);
    std::vector<int32_t> experts;
    for (int32_t expert = 0; expert < expertCount && experts.size() < 5; ++expert)
      if (random() % 2)
        experts.push_back(expert);
    std::vector<int32_t> slots = fetch(layer, experts);
    EXPECT_EQ(std::set<int32_t>(slots.begin(), slots.end()).size(), experts.size());
    for (int32_t slot : slots)
      ASSERT_TRUE(slot >= 0 && slot < 5);
    expectThere(layer, experts, slots);
  }
  Message message;
  EXPECT_EQ(reader.takeFailure(message), GC_OK);
  EXPECT_LE(reader.resident(), 5u * test::fakeBlockBytes + 65536);
}

TEST_P(ExpertReaderTest, ReadsWhatIsMissingAndNothingElse) {
  open(8);
  fetch(0, {0, 1, 2, 3});
  EXPECT_EQ(reader.counts().missed, 4u);
  fetch(0, {0, 1, 2, 3});
  EXPECT_EQ(reader.counts().missed, 4u);
  EXPECT_EQ(reader.counts().asked, 8u);
  fetch(1, {0, 1, 2, 3}); // others, of the same numbers
  EXPECT_EQ(reader.counts().missed, 8u);
  fetch(0, {0, 1, 2, 3}); // all eight are there
  EXPECT_EQ(reader.counts().missed, 8u);
  // A layer that needs the whole cache keeps the half that is there, though the other half is
  // listed first.
  fetch(1, {4, 5, 6, 7, 0, 1, 2, 3});
  EXPECT_EQ(reader.counts().missed, 12u);
}

TEST_P(ExpertReaderTest, ACacheOfAllReadsEachOnce) {
  open(uint32_t(layerCount * expertCount));
  for (int round = 0; round < 3; ++round)
    for (int32_t layer = 0; layer < layerCount; ++layer)
      expectThere(layer, {1, 6}, fetch(layer, {1, 6}));
  EXPECT_EQ(reader.counts().missed, uint64_t(2 * layerCount));
}

TEST_P(ExpertReaderTest, TellsOfACutFileAndOfNothingAfterwards) {
  open(8);
  ASSERT_EQ(truncate(path.c_str(), off_t(artifact.experts->offset + 9 * test::fakeBlockBytes / 2)),
            0);
  expectThere(0, {1, 2}, fetch(0, {1, 2}));
  for (int32_t slot : fetch(0, {4, 7})) // half of 4 is there, nothing of 7
    EXPECT_EQ(slot >= 0 && slot < 8, true);
  for (int32_t slot : fetch(1, {0, 1})) // the program runs to its end
    EXPECT_EQ(slot, 0);
  Message message;
  EXPECT_EQ(reader.takeFailure(message), GC_CANNOT_READ);
  EXPECT_THAT(message.c_str(), HasSubstr("of layer 0: the file was cut short"));
  EXPECT_EQ(reader.takeFailure(message), GC_OK);
  // What was half read is not taken for whole, and the rest can be had again.
  expectThere(0, {1, 2}, fetch(0, {1, 2}));
  EXPECT_EQ(reader.takeFailure(message), GC_OK);
  fetch(0, {4});
  EXPECT_EQ(reader.takeFailure(message), GC_CANNOT_READ);
}

TEST_P(ExpertReaderTest, TellsOfADeviceThatFails) {
  int folder = ::open("/", O_RDONLY | O_CLOEXEC); // reads fail: it is no file
  open(8, folder);
  fetch(2, {3});
  Message message;
  EXPECT_EQ(reader.takeFailure(message), GC_CANNOT_READ);
  EXPECT_THAT(message.c_str(), HasSubstr("cannot read expert 3 of layer 2: "));
  close(folder);
}

TEST_P(ExpertReaderTest, TellsOfMoreExpertsThanSlots) {
  open(3);
  fetch(0, {0, 1, 2, 3});
  Message message;
  EXPECT_EQ(reader.takeFailure(message), GC_BAD_FILE);
  EXPECT_THAT(message.c_str(), HasSubstr("cache of 3 slots"));
  expectThere(0, {0, 1, 2}, fetch(0, {0, 1, 2}));
}

TEST_P(ExpertReaderTest, ReadsWhereThePageCacheCannotBePassed) {
  int memory = memfd_create("experts", MFD_CLOEXEC);
  test::TestArtifact model = test::fakeModel({.expertSlots = 4, .tokenizer = false});
  std::vector<uint8_t> whole = model.build();
  ASSERT_EQ(write(memory, whole.data(), whole.size()), ssize_t(whole.size()));
  open(4, memory);
  expectThere(2, {0, 5, 7}, fetch(2, {0, 5, 7}));
  close(memory);
}

INSTANTIATE_TEST_SUITE_P(Threads, ExpertReaderTest, testing::Values(1, 3));

} // namespace
} // namespace gcompile::runtime
