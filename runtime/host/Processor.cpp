#include "runtime/host/Processor.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace gcompile::runtime {
namespace {

struct IsaName {
  uint32_t isa;
  const char *name;
};
constexpr IsaName isaNames[] = {{GC_ISA_X86_64_V3, "v3"},
                                {GC_ISA_X86_64_VNNI, "vnni"},
                                {GC_ISA_AARCH64_NEON, "neon"},
                                {GC_ISA_AARCH64_DOTPROD, "dotprod"},
                                {GC_ISA_AARCH64_I8MM, "i8mm"}};

#if defined(__x86_64__)
// Bits: Intel's Software Developer's Manual, volume 2A, CPUID; volume 1, 13.3 for XCR0.
bool hasAll(uint32_t value, uint32_t bits) { return (value & bits) == bits; }
constexpr uint32_t bit(int n) { return 1u << n; }

bool supportsX86(uint32_t isa) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return false;
  // FMA, SSE4.2, MOVBE, POPCNT, OSXSAVE, AVX, F16C
  if (!hasAll(c, bit(12) | bit(20) | bit(22) | bit(23) | bit(27) | bit(28) | bit(29)))
    return false;
  uint32_t enabled, enabledHigh;
  __asm__ volatile("xgetbv" : "=a"(enabled), "=d"(enabledHigh) : "c"(0));
  if (!hasAll(enabled, bit(1) | bit(2))) // XMM, YMM
    return false;
  uint32_t b7, c7;
  if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d))
    return false;
  if (!hasAll(b7, bit(3) | bit(5) | bit(8))) // BMI1, AVX2, BMI2
    return false;
  if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !hasAll(c, bit(5))) // LZCNT
    return false;
  if (isa == GC_ISA_X86_64_V3)
    return true;
  if (isa != GC_ISA_X86_64_VNNI || !hasAll(enabled, bit(5) | bit(6) | bit(7))) // opmask, ZMM
    return false;
  // AVX512F, DQ, CD, BW, VL; then VNNI
  return hasAll(b7, bit(16) | bit(17) | bit(28) | bit(30) | bit(31)) && hasAll(c7, bit(11));
}
#elif defined(__aarch64__)
// Bits: Linux, Documentation/arch/arm64/elf_hwcaps.rst.
bool supportsArm(uint32_t isa) {
  bool asimd = getauxval(AT_HWCAP) >> 1 & 1, dotprod = getauxval(AT_HWCAP) >> 20 & 1,
       i8mm = getauxval(AT_HWCAP2) >> 13 & 1;
  switch (isa) {
  case GC_ISA_AARCH64_NEON:
    return asimd;
  case GC_ISA_AARCH64_DOTPROD:
    return asimd && dotprod;
  case GC_ISA_AARCH64_I8MM:
    return asimd && dotprod && i8mm;
  default:
    return false;
  }
}
#endif

// Reads a small file whole; null-terminated. False: it is not there.
bool readSmallFile(const char *path, char *text, size_t capacity) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return false;
  size_t used = 0;
  while (used + 1 < capacity) {
    ssize_t got = read(file, text + used, capacity - 1 - used);
    if (got <= 0)
      break;
    used += size_t(got);
  }
  close(file);
  text[used] = 0;
  return used > 0;
}

int ceilingOf(long long quota, long long period) {
  if (quota <= 0 || period <= 0)
    return 0;
  long long cpus = (quota + period - 1) / period;
  return cpus > 1 << 20 ? 0 : int(cpus);
}

// CPUs that one group grants; 0: no limit.
int groupQuota(const char *mount, const char *group) {
  char path[1024], text[128];
  long long quota = 0, period = 0;
  snprintf(path, sizeof path, "%s%s/cpu.max", mount, group);
  if (readSmallFile(path, text, sizeof text) && sscanf(text, "%lld %lld", &quota, &period) == 2)
    return ceilingOf(quota, period);
  snprintf(path, sizeof path, "%s%s/cpu.cfs_quota_us", mount, group);
  if (!readSmallFile(path, text, sizeof text) || sscanf(text, "%lld", &quota) != 1)
    return 0;
  snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", mount, group);
  if (!readSmallFile(path, text, sizeof text) || sscanf(text, "%lld", &period) != 1)
    return 0;
  return ceilingOf(quota, period);
}

// The tightest quota from a group up to its root.
int tightestQuota(const char *mount, char *group, int best) {
  for (;;) {
    int quota = groupQuota(mount, strcmp(group, "/") == 0 ? "" : group);
    if (quota && (!best || quota < best))
      best = quota;
    char *slash = strrchr(group, '/');
    if (!slash || strcmp(group, "/") == 0)
      return best;
    *(slash == group ? slash + 1 : slash) = 0;
  }
}

int cgroupCpus() {
  char groups[4096];
  if (!readSmallFile("/proc/self/cgroup", groups, sizeof groups))
    return 0;
  int best = 0;
  char *save = nullptr;
  for (char *line = strtok_r(groups, "\n", &save); line; line = strtok_r(nullptr, "\n", &save)) {
    // ID:CONTROLLERS:PATH
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : nullptr;
    if (!path || path[1] != '/')
      continue;
    *path++ = 0;
    ++controllers;
    if (!*controllers) {
      char copy[1024];
      snprintf(copy, sizeof copy, "%s", path);
      best = tightestQuota("/sys/fs/cgroup", copy, best);
      best = tightestQuota("/sys/fs/cgroup/unified", path, best);
      continue;
    }
    bool isCpu = false;
    char *inner = nullptr;
    for (char *name = strtok_r(controllers, ",", &inner); name;
         name = strtok_r(nullptr, ",", &inner))
      isCpu |= strcmp(name, "cpu") == 0;
    if (isCpu)
      best = tightestQuota("/sys/fs/cgroup/cpu", path, best);
  }
  return best;
}

} // namespace

bool isSupported(uint32_t isa) {
#if defined(__x86_64__)
  return supportsX86(isa);
#elif defined(__aarch64__)
  return supportsArm(isa);
#else
  return false;
#endif
}

const char *isaName(uint32_t isa) {
  for (const IsaName &known : isaNames)
    if (known.isa == isa)
      return known.name;
  return "unknown";
}

uint32_t parseIsa(const char *name) {
  for (const IsaName &known : isaNames)
    if (strcmp(known.name, name) == 0)
      return known.isa;
  return 0;
}

int allowedCpus() {
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : int(sysconf(_SC_NPROCESSORS_ONLN));
  int quota = cgroupCpus();
  if (quota && quota < cpus)
    cpus = quota;
  return cpus < 1 ? 1 : cpus;
}

} // namespace gcompile::runtime
