# gc_add_unit_test(NAME <executable> SOURCES … [DEPENDS …] [MLIR]): a GoogleTest executable, its cases registered with ctest under the label "unit".
# Cases are discovered when ctest runs (PRE_TEST), so that building never starts a test program. Each test has a time limit of five minutes.
include(GoogleTest)

function(gc_add_unit_test)
  cmake_parse_arguments(A "MLIR" "NAME" "SOURCES;DEPENDS" ${ARGN})
  if(NOT A_NAME OR NOT A_SOURCES)
    message(FATAL_ERROR "gc_add_unit_test needs NAME and SOURCES")
  endif()
  foreach(dependency ${A_DEPENDS})
    if(dependency MATCHES "^gc_" AND NOT TARGET ${dependency})
      message(FATAL_ERROR "unit test '${A_NAME}' depends on '${dependency}', which is not a target")
    endif()
  endforeach()
  add_executable(${A_NAME} ${A_SOURCES})
  target_compile_options(${A_NAME} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  target_compile_definitions(${A_NAME} PRIVATE GC_TEST_DATA_DIR="${PROJECT_SOURCE_DIR}/tests/data")
  target_link_libraries(${A_NAME} PRIVATE ${A_DEPENDS} GTest::gmock GTest::gtest GTest::gtest_main)
  if(A_MLIR)
    target_link_libraries(${A_NAME} PRIVATE gc_mlir)
  endif()
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bin)
  gtest_discover_tests(${A_NAME} NO_PRETTY_VALUES DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 WORKING_DIRECTORY ${PROJECT_BINARY_DIR}
    TEST_PREFIX "unit." PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

# gc_add_fuzz_target(NAME <executable> SOURCES … [DEPENDS …] [DEFINITIONS …] [CORPUS <folder>] [MAX_LENGTH <bytes>] [RUNS <count>]): a libFuzzer target (it
# defines LLVMFuzzerTestOneInput) with the address and undefined-behaviour sanitizers. What is to be watched has to be compiled so too: gc_add_watched_library.
# The test replays the kept corpus and then a number of mutations of it from a fixed seed. Long runs by hand:
#   build/release/tests/bin/NAME -max_total_time=600 NEW_FOLDER tests/fuzz/corpus/KIND
set(GC_FUZZ_COMPILE -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)

function(gc_add_watched_library name)
  add_library(${name} OBJECT ${ARGN})
  target_compile_options(${name} PRIVATE ${GC_FUZZ_COMPILE} -fsanitize=fuzzer-no-link)
endfunction()

function(gc_add_fuzz_target)
  cmake_parse_arguments(A "" "NAME;CORPUS;MAX_LENGTH;RUNS" "SOURCES;DEPENDS;DEFINITIONS" ${ARGN})
  if(NOT A_MAX_LENGTH)
    set(A_MAX_LENGTH 65536)
  endif()
  if(NOT A_RUNS)
    set(A_RUNS 20000)
  endif()
  add_executable(${A_NAME} ${A_SOURCES})
  target_compile_definitions(${A_NAME} PRIVATE ${A_DEFINITIONS})
  target_compile_options(${A_NAME} PRIVATE ${GC_FUZZ_COMPILE} -fsanitize=fuzzer)
  target_link_options(${A_NAME} PRIVATE -fsanitize=fuzzer,address,undefined)
  target_link_libraries(${A_NAME} PRIVATE ${A_DEPENDS})
  set_target_properties(${A_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bin)
  set(found ${PROJECT_BINARY_DIR}/fuzz/${A_NAME}) # libFuzzer writes what it finds to the first folder: never into the sources
  file(MAKE_DIRECTORY ${found})
  string(REGEX REPLACE "^fuzz-" "fuzz." test ${A_NAME})
  add_test(NAME ${test} COMMAND ${A_NAME} -seed=1 -runs=${A_RUNS} -max_len=${A_MAX_LENGTH} -timeout=20 -rss_limit_mb=2048 -max_total_time=20 -print_final_stats=1
    -reduce_inputs=0 -artifact_prefix=${found}/ ${found} ${A_CORPUS} WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
  set_tests_properties(${test} PROPERTIES LABELS fuzz TIMEOUT 300)
endfunction()
