// Linux system calls of a freestanding Hexagon program (also what qemu-hexagon emulates). Results
// are the kernel's: a negative number is an error.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { GC_OPEN_READ = 0, GC_OPEN_WRITE = 01 | 0100 | 01000 }; // write, create, truncate

int32_t gc_hexagon_open(const char *path, int32_t flags);
int32_t gc_hexagon_read(int32_t file, void *to, size_t bytes);
int32_t gc_hexagon_write(int32_t file, const void *from, size_t bytes);
int32_t gc_hexagon_close(int32_t file);
void gc_hexagon_exit(int32_t code);
