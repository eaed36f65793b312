// Calls one kernel of an image: the foreign half of KernelHarness, linked statically and started
// under an emulator. driver INPUT OUTPUT; the input is 64-bit numbers (image bytes, entry offset,
// number of groups of calls; for each group the number of buffers and of calls, bytes of each
// buffer, MOST_INTEGERS integers of each call), the image, the buffers of all groups including
// their guard zones of 256 bytes at either end. Calls of a group follow each other on the same
// buffers. The output is the buffers after the calls.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GUARD = 256, ALIGNMENT = 128, MOST_BUFFERS = 8, MOST_INTEGERS = 6 };

typedef void (*kernel_fn)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                          int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);

struct group {
  uint64_t buffers, calls, sizes[MOST_BUFFERS];
  int64_t *integers; // [calls][MOST_INTEGERS]
};

static void need(int condition, const char *what) {
  if (!condition) {
    fprintf(stderr, "kernel driver: %s\n", what);
    exit(1);
  }
}

static uint64_t number(FILE *file) {
  uint64_t value;
  need(fread(&value, sizeof value, 1, file) == 1, "input is short");
  return value;
}

static void read_group(FILE *input, struct group *group) {
  group->buffers = number(input);
  group->calls = number(input);
  need(group->buffers <= MOST_BUFFERS, "input is malformed");
  for (uint64_t i = 0; i < group->buffers; ++i)
    group->sizes[i] = number(input);
  group->integers = calloc(group->calls, MOST_INTEGERS * sizeof *group->integers);
  need(group->integers != NULL, "out of memory");
  for (uint64_t i = 0; i < group->calls * MOST_INTEGERS; ++i)
    group->integers[i] = (int64_t)number(input);
}

static void run_group(FILE *input, FILE *output, const struct group *group, kernel_fn kernel) {
  char *memory[MOST_BUFFERS];
  for (uint64_t i = 0; i < group->buffers; ++i) {
    uint64_t bytes = (group->sizes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memory[i] = aligned_alloc(ALIGNMENT, bytes);
    need(memory[i] != NULL, "out of memory");
    need(fread(memory[i], 1, group->sizes[i], input) == group->sizes[i], "input is short");
  }
  for (uint64_t call = 0; call < group->calls; ++call) {
    // Integers follow the buffers without a gap.
    int64_t a[MOST_BUFFERS + MOST_INTEGERS] = {0};
    for (uint64_t i = 0; i < group->buffers; ++i)
      a[i] = (int64_t)(memory[i] + GUARD);
    memcpy(a + group->buffers, group->integers + call * MOST_INTEGERS,
           MOST_INTEGERS * sizeof *group->integers);
    kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13]);
  }
  for (uint64_t i = 0; i < group->buffers; ++i) {
    need(fwrite(memory[i], 1, group->sizes[i], output) == group->sizes[i], "cannot write");
    free(memory[i]);
  }
}

int main(int argc, char **argv) {
  need(argc == 3, "usage: driver INPUT OUTPUT");
  FILE *input = fopen(argv[1], "rb"), *output = fopen(argv[2], "wb");
  need(input != NULL && output != NULL, "cannot open the input or the output");
  uint64_t image_bytes = number(input), entry = number(input), count = number(input);
  need(entry < image_bytes, "input is malformed");
  struct group *groups = calloc(count, sizeof *groups);
  need(groups != NULL, "out of memory");
  for (uint64_t i = 0; i < count; ++i)
    read_group(input, &groups[i]);

  char *image = mmap(NULL, image_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(image != MAP_FAILED, "cannot map the image");
  need(fread(image, 1, image_bytes, input) == image_bytes, "input is short");
  need(mprotect(image, image_bytes, PROT_READ | PROT_EXEC) == 0, "cannot protect the image");
  __builtin___clear_cache(image, image + image_bytes);

  for (uint64_t i = 0; i < count; ++i)
    run_group(input, output, &groups[i], (kernel_fn)(image + entry));
  need(fclose(output) == 0, "cannot write");
  return 0;
}
