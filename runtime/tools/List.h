// A growing array of plain values for the command line; ends the program when memory does (a tool
// has nothing better to do).
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace gcompile::tools {

template <typename T>
class List {
public:
  List() = default;
  List(const List &) = delete;
  List &operator=(const List &) = delete;
  ~List() { free(values); }

  void resize(size_t count) {
    if (count > capacity) {
      size_t wanted = count > 2 * capacity ? count : 2 * capacity;
      void *grown = realloc(values, wanted * sizeof(T));
      if (!grown) {
        fputs("grun: error: out of memory\n", stderr);
        exit(1);
      }
      values = static_cast<T *>(grown);
      capacity = wanted;
    }
    used = count;
  }
  void add(const T &value) {
    T copy = value; // it may lie in this list
    resize(used + 1);
    values[used - 1] = copy;
  }
  void append(const T *from, size_t count) {
    size_t at = used;
    resize(used + count);
    if (count)
      memcpy(values + at, from, count * sizeof(T));
  }

  T *data() { return values; }
  const T *data() const { return values; }
  size_t count() const { return used; }
  T &operator[](size_t i) { return values[i]; }
  const T &operator[](size_t i) const { return values[i]; }

private:
  T *values = nullptr;
  size_t used = 0, capacity = 0;
};

} // namespace gcompile::tools
