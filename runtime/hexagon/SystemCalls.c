// trap0(#1) with the number in r6 and arguments from r0 on; numbers are those of Linux' generic
// table.
#include "runtime/hexagon/SystemCalls.h"

static int32_t call(int32_t number, int32_t a, int32_t b, int32_t c, int32_t d) {
  register int32_t r0 __asm__("r0") = a;
  register int32_t r1 __asm__("r1") = b;
  register int32_t r2 __asm__("r2") = c;
  register int32_t r3 __asm__("r3") = d;
  register int32_t r6 __asm__("r6") = number;
  __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r1), "r"(r2), "r"(r3), "r"(r6) : "memory");
  return r0;
}

enum {
  AT_WORKING_DIRECTORY = -100,
  OPENAT = 56,
  CLOSE = 57,
  READ = 63,
  WRITE = 64,
  EXIT_GROUP = 94
};

int32_t gc_hexagon_open(const char *path, int32_t flags) {
  return call(OPENAT, AT_WORKING_DIRECTORY, (int32_t)path, flags, 0644);
}
int32_t gc_hexagon_read(int32_t file, void *to, size_t bytes) {
  return call(READ, file, (int32_t)to, (int32_t)bytes, 0);
}
int32_t gc_hexagon_write(int32_t file, const void *from, size_t bytes) {
  return call(WRITE, file, (int32_t)from, (int32_t)bytes, 0);
}
int32_t gc_hexagon_close(int32_t file) { return call(CLOSE, file, 0, 0, 0); }
void gc_hexagon_exit(int32_t code) {
  for (;;)
    call(EXIT_GROUP, code, 0, 0, 0);
}
