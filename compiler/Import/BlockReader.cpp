#include "compiler/Import/BlockReader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace gcompile {

// Two requests in flight: the next is under way while one is taken in.
static constexpr unsigned threadCount = 2;

std::shared_ptr<BlockReader> BlockReader::shared() {
  static std::mutex mutex;
  static std::weak_ptr<BlockReader> living;
  std::lock_guard lock(mutex);
  std::shared_ptr<BlockReader> reader = living.lock();
  if (!reader)
    living = reader = std::shared_ptr<BlockReader>(new BlockReader);
  return reader;
}

BlockReader::~BlockReader() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  asked.notify_all();
  for (std::thread &thread : threads)
    thread.join();
  if (pool)
    munmap(pool, blockBytes * blockCount);
}

BlockReader::Block *BlockReader::find(int file, uint64_t start) {
  for (Block &block : blocks)
    if (block.state != Block::Empty && block.file.cached == file && block.start == start)
      return &block;
  return nullptr;
}

BlockReader::Block *BlockReader::oldestUnused() {
  Block *oldest = nullptr;
  for (Block &block : blocks)
    if ((block.state == Block::Empty || block.state == Block::Ready) && block.readers == 0 &&
        (!oldest || block.lastUse < oldest->lastUse))
      oldest = &block;
  return oldest;
}

void BlockReader::fetch(File file, uint64_t offset, uint64_t bytes) {
  std::lock_guard lock(mutex);
  if (threads.empty()) {
    void *memory = mmap(nullptr, blockBytes * blockCount, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return; // everything is then read by whoever needs it
    pool = static_cast<uint8_t *>(memory);
    blocks.resize(blockCount);
    for (unsigned i = 0; i < blockCount; ++i)
      blocks[i].memory = pool + i * blockBytes;
    for (unsigned i = 0; i < threadCount; ++i)
      threads.emplace_back([this] { work(); });
  }
  for (uint64_t start = offset / blockBytes * blockBytes; start < offset + bytes;
       start += blockBytes) {
    Block *block = find(file.cached, start);
    if (block) {
      block->lastUse = ++uses;
      continue;
    }
    block = oldestUnused();
    if (!block)
      return;
    block->state = Block::Waiting;
    block->file = file;
    block->start = start;
    block->lastUse = ++uses;
    queue.push_back(block);
    asked.notify_one();
  }
}

uint64_t BlockReader::copy(File file, uint64_t offset, llvm::MutableArrayRef<uint8_t> out) {
  uint64_t start = offset / blockBytes * blockBytes, at = offset - start;
  std::unique_lock lock(mutex);
  Block *block = find(file.cached, start);
  if (!block)
    return 0;
  ++block->readers;
  arrived.wait(lock, [&] { return block->state == Block::Ready; });
  block->lastUse = ++uses;
  lock.unlock();
  uint64_t count = at < block->bytes ? std::min<uint64_t>(block->bytes - at, out.size()) : 0;
  std::memcpy(out.data(), block->memory + at, count);
  lock.lock();
  if (--block->readers == 0)
    arrived.notify_all(); // forget may wait for it
  return count;
}

void BlockReader::forget(File file) {
  std::unique_lock lock(mutex);
  for (Block &block : blocks) {
    if (block.file.cached != file.cached || block.state == Block::Empty)
      continue;
    arrived.wait(lock, [&] { return block.state == Block::Ready && block.readers == 0; });
    block.state = Block::Empty;
    block.lastUse = 0;
  }
}

// Whether most of a block is in the page cache. Where the system does not tell (files of others),
// it says yes.
static bool isCached(int file, uint64_t start) {
  void *view = mmap(nullptr, BlockReader::blockBytes, PROT_READ, MAP_SHARED, file, off_t(start));
  if (view == MAP_FAILED)
    return true;
  static const uint64_t pageBytes = uint64_t(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(BlockReader::blockBytes / pageBytes);
  size_t resident = 0;
  if (mincore(view, BlockReader::blockBytes, pages.data()) == 0)
    resident =
        size_t(std::count_if(pages.begin(), pages.end(), [](auto page) { return page & 1; }));
  munmap(view, BlockReader::blockBytes);
  return resident >= pages.size() / 2;
}

// How many bytes of a block there are; short at the end of the file and where reading fails.
static uint64_t readBlock(int file, uint64_t start, uint8_t *memory) {
  uint64_t done = 0;
  while (done < BlockReader::blockBytes) {
    ssize_t count = pread(file, memory + done, BlockReader::blockBytes - done, off_t(start + done));
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      break;
    done += uint64_t(count);
  }
  return done;
}

void BlockReader::work() {
  std::unique_lock lock(mutex);
  for (;;) {
    asked.wait(lock, [&] { return stopping || !queue.empty(); });
    if (stopping)
      return;
    Block *block = queue.front();
    queue.pop_front();
    block->state = Block::Reading;
    auto [cached, direct] = block->file;
    lock.unlock();
    uint64_t bytes = 0;
    if (direct >= 0 && !isCached(cached, block->start))
      bytes = readBlock(direct, block->start, block->memory);
    if (bytes == 0)
      bytes = readBlock(cached, block->start, block->memory);
    lock.lock();
    block->bytes = bytes;
    block->state = Block::Ready;
    arrived.notify_all();
  }
}

} // namespace gcompile
