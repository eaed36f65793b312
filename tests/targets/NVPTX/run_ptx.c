// Runs PTX of kernels on this machine's GPU and compares every output byte with what is expected.
// Usage: run_ptx FOLDER, with NAME.ptx and NAME.case files of write_ptx_cases. Needs nothing but a
// C library: libcuda.so.1 is opened at run time, and without it the program says so and exits with
// 77 (skipped). Exit 0: all agree; 1: some do not.
//
// A case is 64-bit little-endian numbers (the magic, buffers, integers, bytes and access of each
// buffer, the integers with begin and end task last), then each buffer before the run and, for
// outputs, as expected after it.
#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BUFFERS = 8, MOST_INTEGERS = 6, GUARD = 256, SKIPPED = 77 };
static const uint64_t magic = 0x3165736163787470; // "ptxcase1"

typedef int result;
typedef uint64_t device_pointer;
static struct {
  result (*init)(unsigned);
  result (*device_get)(int *, int);
  result (*device_get_name)(char *, int, int);
  result (*primary_context_retain)(void **, int);
  result (*context_set_current)(void *);
  result (*context_synchronize)(void);
  result (*module_load_data)(void **, const void *);
  result (*module_get_function)(void **, void *, const char *);
  result (*module_unload)(void *);
  result (*allocate)(device_pointer *, size_t);
  result (*release)(device_pointer);
  result (*to_device)(device_pointer, const void *, size_t);
  result (*to_host)(void *, device_pointer, size_t);
  result (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   void *, void **, void **);
  result (*error_name)(result, const char **);
} cuda;

static void need(int condition, const char *what, const char *name) {
  if (!condition) {
    fprintf(stderr, "run_ptx: %s '%s'\n", what, name);
    exit(1);
  }
}

static int open_cuda(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library)
    return 0;
  struct {
    void *place;
    const char *symbol;
  } table[] = {{&cuda.init, "cuInit"},
               {&cuda.device_get, "cuDeviceGet"},
               {&cuda.device_get_name, "cuDeviceGetName"},
               {&cuda.primary_context_retain, "cuDevicePrimaryCtxRetain"},
               {&cuda.context_set_current, "cuCtxSetCurrent"},
               {&cuda.context_synchronize, "cuCtxSynchronize"},
               {&cuda.module_load_data, "cuModuleLoadData"},
               {&cuda.module_get_function, "cuModuleGetFunction"},
               {&cuda.module_unload, "cuModuleUnload"},
               {&cuda.allocate, "cuMemAlloc_v2"},
               {&cuda.release, "cuMemFree_v2"},
               {&cuda.to_device, "cuMemcpyHtoD_v2"},
               {&cuda.to_host, "cuMemcpyDtoH_v2"},
               {&cuda.launch, "cuLaunchKernel"},
               {&cuda.error_name, "cuGetErrorName"}};
  for (size_t i = 0; i < sizeof table / sizeof *table; ++i) {
    void *symbol = dlsym(library, table[i].symbol);
    need(symbol != NULL, "libcuda.so.1 lacks", table[i].symbol);
    memcpy(table[i].place, &symbol, sizeof symbol);
  }
  return 1;
}

static void check(result code, const char *what, const char *name) {
  if (code == 0)
    return;
  const char *text = "?";
  cuda.error_name(code, &text);
  fprintf(stderr, "run_ptx: %s of '%s': %s\n", what, name, text);
  exit(1);
}

// The whole file and a terminating zero.
static char *read_file(const char *path, size_t *bytes) {
  FILE *file = fopen(path, "rb");
  need(file && fseek(file, 0, SEEK_END) == 0, "cannot read", path);
  long size = ftell(file);
  char *text = size >= 0 ? calloc(1, (size_t)size + 1) : NULL;
  rewind(file);
  need(text && fread(text, 1, (size_t)size, file) == (size_t)size, "cannot read", path);
  fclose(file);
  *bytes = (size_t)size;
  return text;
}

// Output `index`; the largest difference is printed as f32, which most outputs are.
static int differs(const char *got, const char *expected, uint64_t bytes, uint64_t index) {
  if (memcmp(got, expected, bytes) == 0)
    return 0;
  uint64_t wrong = 0, first = bytes;
  double worst = 0;
  for (uint64_t i = 0; i < bytes; ++i)
    if (got[i] != expected[i]) {
      ++wrong;
      first = i < first ? i : first;
    }
  for (uint64_t i = 0; i + 4 <= bytes; i += 4) {
    float x, y;
    memcpy(&x, got + i, 4);
    memcpy(&y, expected + i, 4);
    double distance = fabs((double)x - y);
    worst = distance > worst ? distance : worst;
  }
  printf("  output %d: %llu of %llu bytes differ, first at %llu; as f32 by up to %g\n", (int)index,
         (unsigned long long)wrong, (unsigned long long)bytes, (unsigned long long)first, worst);
  return 1;
}

// 1 when an output differs from what is expected, or something beside the buffers was written.
static int run_case(const char *folder, const char *name, unsigned grid, unsigned block) {
  char path[4096];
  size_t bytes, ptx_bytes;
  snprintf(path, sizeof path, "%s/%s.case", folder, name);
  char *data = read_file(path, &bytes);
  snprintf(path, sizeof path, "%s/%s.ptx", folder, name);
  char *ptx = read_file(path, &ptx_bytes);

  uint64_t header[3 + 2 * MOST_BUFFERS + MOST_INTEGERS];
  need(bytes >= sizeof header, "malformed case", name);
  memcpy(header, data, sizeof header);
  uint64_t buffers = header[1], integers = header[2], total = sizeof header;
  need(header[0] == magic && buffers <= MOST_BUFFERS && integers <= MOST_INTEGERS, "malformed case",
       name);
  uint64_t *sizes = header + 3, *outputs = sizes + MOST_BUFFERS, *numbers = outputs + MOST_BUFFERS;
  for (uint64_t i = 0; i < buffers; ++i) {
    need(sizes[i] <= bytes, "malformed case", name);
    total += sizes[i] * (outputs[i] ? 2 : 1);
  }
  need(total == bytes, "malformed case", name);

  void *module, *function;
  check(cuda.module_load_data(&module, ptx), "cuModuleLoadData", name);
  check(cuda.module_get_function(&function, module, "kernel"), "cuModuleGetFunction", name);
  device_pointer memory[MOST_BUFFERS];
  void *arguments[MOST_BUFFERS + MOST_INTEGERS];
  device_pointer places[MOST_BUFFERS];
  const char *before = data + sizeof header;
  for (uint64_t i = 0; i < buffers; ++i) {
    char *guarded = malloc(sizes[i] + 2 * GUARD);
    need(guarded != NULL, "no memory for", name);
    memset(guarded, 0xA5, sizes[i] + 2 * GUARD);
    memcpy(guarded + GUARD, before, sizes[i]);
    check(cuda.allocate(&memory[i], sizes[i] + 2 * GUARD), "cuMemAlloc", name);
    check(cuda.to_device(memory[i], guarded, sizes[i] + 2 * GUARD), "cuMemcpyHtoD", name);
    free(guarded);
    places[i] = memory[i] + GUARD;
    arguments[i] = &places[i];
    before += sizes[i] * (outputs[i] ? 2 : 1);
  }
  for (uint64_t i = 0; i < integers; ++i)
    arguments[buffers + i] = &numbers[i];
  check(cuda.launch(function, grid, 1, 1, block, 1, 1, 0, NULL, arguments, NULL), "cuLaunchKernel",
        name);
  check(cuda.context_synchronize(), "running", name);

  int wrong = 0;
  const char *expected = data + sizeof header;
  for (uint64_t i = 0; i < buffers; ++i) {
    char *after = malloc(sizes[i] + 2 * GUARD);
    need(after != NULL, "no memory for", name);
    check(cuda.to_host(after, memory[i], sizes[i] + 2 * GUARD), "cuMemcpyDtoH", name);
    expected += outputs[i] ? sizes[i] : 0; // inputs have to stay as they were
    wrong |= differs(after + GUARD, expected, sizes[i], i);
    expected += sizes[i];
    for (int j = 0; j < GUARD; ++j)
      if ((unsigned char)after[j] != 0xA5 || (unsigned char)after[GUARD + sizes[i] + j] != 0xA5) {
        printf("  wrote outside buffer %d\n", (int)i);
        wrong = 1;
        break;
      }
    free(after);
    check(cuda.release(memory[i]), "cuMemFree", name);
  }
  check(cuda.module_unload(module), "cuModuleUnload", name);
  free(data);
  free(ptx);
  printf("%s %s <<<%u, %u>>>\n", wrong ? "FAIL" : "ok  ", name, grid, block);
  return wrong;
}

int main(int argc, char **argv) {
  need(argc <= 2, "usage:", "run_ptx [FOLDER]");
  if (!open_cuda()) {
    printf("run_ptx: skipped: libcuda.so.1 cannot be opened here\n");
    return SKIPPED;
  }
  int device;
  void *context;
  if (cuda.init(0) != 0 || cuda.device_get(&device, 0) != 0) {
    printf("run_ptx: skipped: libcuda.so.1 finds no device\n");
    return SKIPPED;
  }
  if (argc == 1)
    return 0;
  char device_name[256] = "";
  cuda.device_get_name(device_name, sizeof device_name, device);
  check(cuda.primary_context_retain(&context, device), "cuDevicePrimaryCtxRetain", device_name);
  check(cuda.context_set_current(context), "cuCtxSetCurrent", device_name);

  DIR *folder = opendir(argv[1]);
  need(folder != NULL, "cannot open", argv[1]);
  int run = 0, wrong = 0;
  for (struct dirent *entry; (entry = readdir(folder));) {
    char name[256];
    snprintf(name, sizeof name, "%s", entry->d_name);
    char *suffix = strrchr(name, '.');
    if (!suffix || strcmp(suffix, ".case") != 0)
      continue;
    *suffix = 0;
    // A task a block; several a thread; all in one thread: the split must not matter.
    const unsigned shapes[][2] = {{64, 1}, {1, 2}, {1, 1}, {2, 32}};
    for (int i = 0; i < 4; ++i) {
      ++run;
      wrong += run_case(argv[1], name, shapes[i][0], shapes[i][1]);
    }
  }
  closedir(folder);
  printf("run_ptx: %s: %d of %d runs agree\n", device_name, run - wrong, run);
  return wrong || !run;
}
