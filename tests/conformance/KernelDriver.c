// Runs one kernel of an image: the foreign half of KernelHarness, linked statically and started
// under an emulator. driver INPUT OUTPUT; the input is 64-bit numbers (image bytes, entry offset,
// number of buffers, of integers, bytes of each buffer, the integers), the image, the buffers
// including their guard zones of 256 bytes at either end. The output is the buffers after the run.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { GUARD = 256, ALIGNMENT = 128, MOST_BUFFERS = 8, MOST_INTEGERS = 6 };

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

int main(int argc, char **argv) {
  need(argc == 3, "usage: driver INPUT OUTPUT");
  FILE *input = fopen(argv[1], "rb");
  need(input != NULL, "cannot open the input");
  uint64_t image_bytes = number(input), entry = number(input), buffers = number(input),
           integers = number(input);
  need(buffers <= MOST_BUFFERS && integers <= MOST_INTEGERS && entry < image_bytes,
       "input is malformed");
  uint64_t sizes[MOST_BUFFERS];
  int64_t arguments[MOST_BUFFERS + MOST_INTEGERS] = {0};
  for (uint64_t i = 0; i < buffers; ++i)
    sizes[i] = number(input);
  for (uint64_t i = 0; i < integers; ++i)
    arguments[buffers + i] = (int64_t)number(input);

  char *image = mmap(NULL, image_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(image != MAP_FAILED, "cannot map the image");
  need(fread(image, 1, image_bytes, input) == image_bytes, "input is short");
  need(mprotect(image, image_bytes, PROT_READ | PROT_EXEC) == 0, "cannot protect the image");
  __builtin___clear_cache(image, image + image_bytes);

  for (uint64_t i = 0; i < buffers; ++i) {
    char *memory = aligned_alloc(ALIGNMENT, (sizes[i] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    need(memory != NULL, "out of memory");
    need(fread(memory, 1, sizes[i], input) == sizes[i], "input is short");
    arguments[i] = (int64_t)(memory + GUARD);
  }
  fclose(input);

  typedef void (*kernel)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                         int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);
  int64_t *a = arguments;
  ((kernel)(image + entry))(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10],
                            a[11], a[12], a[13]);

  FILE *output = fopen(argv[2], "wb");
  need(output != NULL, "cannot open the output");
  for (uint64_t i = 0; i < buffers; ++i)
    need(fwrite((char *)a[i] - GUARD, 1, sizes[i], output) == sizes[i], "cannot write");
  need(fclose(output) == 0, "cannot write");
  return 0;
}
