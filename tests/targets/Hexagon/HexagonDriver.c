// Runs the kernel it is linked with: driver INPUT OUTPUT. The input is 32-bit numbers (bytes of the
// arena, buffers, integers, each buffer's offset in the arena, the integers) and the arena, which
// holds the buffers and the guard zones between them; the output is the arena after the run.
#include "runtime/hexagon/SystemCalls.h"

enum { MOST_BUFFERS = 8, MOST_INTEGERS = 6, ARENA_BYTES = 4 << 20 };

typedef struct {
  int32_t arena_bytes, buffers, integers;
  int32_t offsets[MOST_BUFFERS], numbers[MOST_INTEGERS];
} header;

static uint8_t arena[ARENA_BYTES] __attribute__((aligned(128)));

void kernel(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t,
            int32_t, int32_t, int32_t, int32_t, int32_t);

static int transfer(int32_t (*move)(int32_t, void *, size_t), int32_t file, void *memory,
                    int32_t bytes) {
  uint8_t *place = memory;
  while (bytes > 0) {
    int32_t moved = move(file, place, (size_t)bytes);
    if (moved <= 0)
      return 0;
    place += moved;
    bytes -= moved;
  }
  return 1;
}
static int32_t write_from(int32_t file, void *memory, size_t bytes) {
  return gc_hexagon_write(file, memory, bytes);
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  header head;
  int32_t input = gc_hexagon_open(argv[1], GC_OPEN_READ);
  if (input < 0 || !transfer(gc_hexagon_read, input, &head, sizeof head))
    return 3;
  if (head.arena_bytes < 0 || head.arena_bytes > ARENA_BYTES || head.buffers < 0 ||
      head.buffers > MOST_BUFFERS || head.integers < 0 || head.integers > MOST_INTEGERS ||
      !transfer(gc_hexagon_read, input, arena, head.arena_bytes))
    return 4;
  gc_hexagon_close(input);

  int32_t a[MOST_BUFFERS + MOST_INTEGERS] = {0};
  for (int32_t i = 0; i < head.buffers; ++i)
    a[i] = (int32_t)(arena + head.offsets[i]);
  for (int32_t i = 0; i < head.integers; ++i)
    a[head.buffers + i] = head.numbers[i];
  // All arguments are words; those beyond the kernel's own are ignored.
  kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13]);

  int32_t output = gc_hexagon_open(argv[2], GC_OPEN_WRITE);
  if (output < 0 || !transfer(write_from, output, arena, head.arena_bytes))
    return 5;
  gc_hexagon_close(output);
  return 0;
}
