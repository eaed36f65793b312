// Measures how fast this machine reads memory: `read_bandwidth [THREADS [MEGABYTES]]` prints bytes
// per second, the median of nine passes. Each thread sums its own part of a block far larger than
// the caches; the sum is kept so that the loads stay. Printed beside the speed of decoding, which
// reads every weight once a token, so that a share of the machine can be named instead of a bare
// figure.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PASSES = 9, MAX_THREADS = 256 };

typedef uint64_t Words __attribute__((vector_size(64), aligned(64)));

typedef struct Part {
  const Words *begin;
  size_t count;
  uint64_t sum;
} Part;

static void *readPart(void *argument) {
  Part *part = argument;
  Words a = {0}, b = {0}, c = {0}, d = {0};
  for (size_t i = 0; i + 4 <= part->count; i += 4) {
    a += part->begin[i];
    b += part->begin[i + 1];
    c += part->begin[i + 2];
    d += part->begin[i + 3];
  }
  a += b + c + d;
  for (int i = 0; i < 8; ++i)
    part->sum += a[i];
  return NULL;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  long threads = argc > 1 ? atol(argv[1]) : sysconf(_SC_NPROCESSORS_ONLN);
  long megabytes = argc > 2 ? atol(argv[2]) : 1024;
  if (threads < 1 || threads > MAX_THREADS || megabytes < 1) {
    fprintf(stderr, "usage: read_bandwidth [THREADS [MEGABYTES]]\n");
    return 2;
  }
  const size_t words =
      (size_t)megabytes * 1000000 / sizeof(Words) / (size_t)threads * (size_t)threads;
  Words *block = aligned_alloc(64, words * sizeof(Words));
  if (!block)
    return 1;
  for (size_t i = 0; i < words; ++i)
    block[i] = (Words){i, 1, 2, 3, 4, 5, 6, 7};
  double rates[PASSES];
  uint64_t sum = 0;
  for (int pass = 0; pass < PASSES; ++pass) {
    Part parts[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    const double start = seconds();
    for (long t = 0; t < threads; ++t) {
      parts[t] = (Part){block + words / (size_t)threads * (size_t)t, words / (size_t)threads, 0};
      if (pthread_create(&ids[t], NULL, readPart, &parts[t]) != 0)
        return 1;
    }
    for (long t = 0; t < threads; ++t) {
      pthread_join(ids[t], NULL);
      sum += parts[t].sum;
    }
    rates[pass] = (double)(words * sizeof(Words)) / (seconds() - start);
  }
  qsort(rates, PASSES, sizeof(double), ascending);
  printf("%.0f\n", rates[PASSES / 2]);
  return sum == 42; // keeps the loads
}
