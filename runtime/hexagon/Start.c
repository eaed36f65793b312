// Where a freestanding Hexagon program begins: the kernel hands over a stack with the argument
// count and the arguments; HVX values on it need 128-byte alignment.
#include "runtime/hexagon/SystemCalls.h"

int main(int argc, char **argv);

__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "  { r0 = r29\n"
        "    r30 = #0 }\n"
        "  { r29 = and(r29, #-128) }\n"
        "  { call gc_hexagon_start }\n"
        ".size _start, .-_start\n");

void gc_hexagon_start(int32_t *stack) {
  int32_t argc = stack[0];
  gc_hexagon_exit(main(argc, (char **)(stack + 1)));
}
